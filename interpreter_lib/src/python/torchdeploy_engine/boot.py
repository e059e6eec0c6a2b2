"""Starts, cleans and stops an interpreter."""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.package
import torch.utils._device

from . import operator_claims, registered_modules

if TYPE_CHECKING:
    from types import ModuleType

_path_at_start: list[str] = []
_modules_at_start: set[str] = set()


def start(slot: int, intra_op_threads: int) -> None:
    """Prepare this interpreter, the one at index `slot`, for its first call."""
    torch.version.interp = slot  # type: ignore[attr-defined]
    torch.set_num_threads(intra_op_threads)
    operator_claims.install(operator_claims.Claims())
    registered_modules.install()
    _path_at_start.extend(sys.path)
    _modules_at_start.update(sys.modules)
    # What is here now stays: a collection need not look at it again.
    gc.collect()
    gc.freeze()


def reset() -> None:
    """Forget what was registered, added to sys.path, and imported from there."""
    registered_modules.forget()
    sys.path[:] = _path_at_start
    for name, module in list(sys.modules.items()):
        if name not in _modules_at_start and _is_from_elsewhere(module):
            del sys.modules[name]
    importlib.invalidate_caches()
    if "torch._dynamo" in sys.modules:  # It keeps what it has compiled.
        torch.compiler.reset()
    gc.collect()


def stop() -> None:
    """Run the atexit handlers and flush the streams. Raises nothing."""
    # atexit prints what a handler raises and goes on.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()


def _is_from_elsewhere(module: ModuleType) -> bool:
    """Whether the module's file lies in none of the folders that imports began with."""
    file = getattr(getattr(module, "__spec__", None), "origin", None)
    if not isinstance(file, str) or not Path(file).is_absolute():
        return False
    return not any(Path(file).is_relative_to(folder) for folder in _path_at_start)
