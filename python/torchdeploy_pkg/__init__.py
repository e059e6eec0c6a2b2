"""Package, serve and call eager-mode PyTorch models.

::

    from torchdeploy_pkg import Client, Server, package

    package(model, "model.pt", example_inputs=x)
    with Server("model.pt", interpreters=2) as server, Client(server.url) as client:
        y = client.infer("model", {"x": x})["output"]

``package`` needs torch; ``Client`` needs neither torch nor this package's native parts: each
name is imported when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from torchdeploy_pkg.errors import (
    InvalidArgumentError,
    ModelError,
    PackagingError,
    PackagingWarning,
    StatusError,
    TorchDeployError,
)
from torchdeploy_pkg.types import TensorSpec

if TYPE_CHECKING:
    from torchdeploy_pkg.archive import inspect_archive
    from torchdeploy_pkg.client import Client, Tls
    from torchdeploy_pkg.manifest import Manifest
    from torchdeploy_pkg.packager import package
    from torchdeploy_pkg.runtime import InterpreterManager
    from torchdeploy_pkg.server_process import Server

_MODULE_OF = {
    "Client": "client",
    "InterpreterManager": "runtime",
    "Manifest": "manifest",
    "Server": "server_process",
    "Tls": "client",
    "inspect_archive": "archive",
    "package": "packager",
}

__all__ = [
    "Client",
    "InterpreterManager",
    "InvalidArgumentError",
    "Manifest",
    "ModelError",
    "PackagingError",
    "PackagingWarning",
    "Server",
    "StatusError",
    "TensorSpec",
    "Tls",
    "TorchDeployError",
    "inspect_archive",
    "package",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        msg = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
