"""Write the archives of archive_test.cc and operator_clash_test.cc: write_archives.py FOLDER."""

from __future__ import annotations

import functools
import importlib.metadata
import json
import operator
import platform
import sys
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch.package.package_exporter import PackageExporter

# A pickle of the global `model` of module `model_code`.
PICKLE = b"cmodel_code\nmodel\n."
DOUBLE = "def model(x):\n    return x * 2\n"

CUSTOM_OP = """
import torch
from helper import FACTOR

@torch.library.custom_op("demo::{name}", mutates_args=())
def op(x: torch.Tensor) -> torch.Tensor:
    return x * FACTOR * {factor}

@op.register_fake
def fake(x):
    return torch.empty_like(x)

@op.register_kernel("cpu")
def kernel(x):
    return x * FACTOR * {factor}

def backward(ctx, grad):
    return grad * {factor}

op.register_autograd(backward)

def model(x):
    return torch.ops.demo.{name}(x)
"""

LIBRARY = """
import torch

library = torch.library.Library("demolib", "DEF")
library.define("{name}(Tensor x) -> Tensor")

@torch.library.impl(library, "{name}", "CPU")
def kernel(x):
    return x * {factor}

@torch.library.register_fake("demolib::{name}", lib=library)
def fake(x):
    return torch.empty_like(x)

def model(x):
    return torch.ops.demolib.{name}(x)
"""

FUNCTIONAL = """
import torch

torch.library.define("demofn::{name}", "(Tensor x) -> Tensor")

@torch.library.impl("demofn::{name}", "cpu")
def kernel(x):
    return x * {factor}

def model(x):
    return torch.ops.demofn.{name}(x)
"""

LATE = """
import torch

def model(x):
    @torch.library.custom_op("demo::scale", mutates_args=())
    def op(x: torch.Tensor) -> torch.Tensor:
        return x * 9
    return op(x)
"""


def write(path: Path, *, manifest: object = None, **modules: str) -> None:
    """Write an archive whose pickle is `model` of `model_code`, the last of `modules`."""
    with PackageExporter(str(path)) as exporter:
        exporter.extern("torch")
        for name, source in modules.items():
            exporter.save_source_string(name, source)
        exporter.save_binary("model", "model.pkl", PICKLE)
        if manifest is not None:
            text = manifest if isinstance(manifest, str) else json.dumps(manifest)
            exporter.save_text("torchdeploy", "manifest.json", text)


def manifest(**changes: Any) -> dict[str, Any]:
    """Return a manifest that fits this Python, but for `changes`."""
    fitting = {
        "format": 1,
        "name": "demo",
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "distributions": {"numpy": importlib.metadata.version("numpy")},
    }
    return {**fitting, **changes}


def write_packages(folder: Path) -> None:
    """Write what open_package() is tested with."""
    write(folder / "plain.pt", model_code=DOUBLE)
    write(folder / "fitting.pt", model_code=DOUBLE, manifest=manifest())
    wrong = {"numpy": "0.1", "no-such-distribution": "3.0"}
    write(
        folder / "versions.pt",
        model_code=DOUBLE,
        manifest=manifest(python="2.7.18", torch="1.13.0", distributions=wrong),
    )
    write(folder / "format.pt", model_code=DOUBLE, manifest=manifest(format=2))
    write(folder / "not_json.pt", model_code=DOUBLE, manifest="{")
    write(folder / "not_object.pt", model_code=DOUBLE, manifest=[1])
    whole = (folder / "plain.pt").read_bytes()
    (folder / "truncated.pt").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.pt").write_bytes(b"")
    (folder / "text.pt").write_text("no archive\n" * 100)


def write_weights(folder: Path) -> None:
    """Write an archive with a tensor, as torch writes it and compressed."""
    with PackageExporter(str(folder / "weight.pt")) as exporter:
        exporter.extern("torch.**")
        model = functools.partial(operator.getitem, torch.arange(5.0), ...)
        exporter.save_pickle("model", "model.pkl", model)
    with (
        zipfile.ZipFile(folder / "weight.pt") as plain,
        zipfile.ZipFile(folder / "compressed.pt", "w", zipfile.ZIP_DEFLATED) as compressed,
    ):
        for record in plain.namelist():
            compressed.writestr(record, plain.read(record))


def write_operators(folder: Path) -> None:
    """Write archives whose operators meet."""

    def custom(file: str, factor: int, helper: int = 1, name: str = "scale") -> None:
        source = CUSTOM_OP.format(factor=factor, name=name)
        write(folder / file, helper=f"FACTOR = {helper}\n", model_code=source)

    custom("scale2.pt", 2)
    custom("scale2_again.pt", 2)
    custom("scale3.pt", 3)
    custom("scale2_other_helper.pt", 2, helper=10)
    custom("other_name.pt", 3, name="other")
    write(folder / "late.pt", model_code=LATE)
    for name, template in (("library", LIBRARY), ("functional", FUNCTIONAL)):
        write(folder / f"{name}2.pt", model_code=template.format(name="f", factor=2))
        write(folder / f"{name}2_again.pt", model_code=template.format(name="f", factor=2))
        write(folder / f"{name}3.pt", model_code=template.format(name="f", factor=3))
        write(folder / f"{name}_other.pt", model_code=template.format(name="g", factor=5))


def main() -> None:
    """Write all archives."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    write_packages(folder)
    write_weights(folder)
    write_operators(folder)


if __name__ == "__main__":
    main()
