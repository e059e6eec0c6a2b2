"""Compares what a program of examples/torch_deploy prints: check_program.py NAME PROGRAM."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from resnet18 import ResNet18
from torch.package import PackageExporter

if TYPE_CHECKING:
    from collections.abc import Callable


def run(program: str, *arguments: str) -> str:
    # A folder that the model does not need: PathEnvironment wants one.
    environ = {**os.environ, "PATH_TO_EXTERN_PYTHON_PACKAGES": str(Path(__file__).parent)}
    done = subprocess.run(
        [program, *arguments], stdout=subprocess.PIPE, text=True, check=True, env=environ
    )
    sys.stdout.write(done.stdout)
    return done.stdout


def printed_numbers(text: str) -> torch.Tensor:
    """Read a tensor as C++ prints it, by its rows and a factor for all of them."""
    factor = 1.0
    numbers: list[float] = []
    for line in text.splitlines():
        if match := re.fullmatch(r"\s*(\S+)\s+\*", line):
            factor = float(match[1])
        elif re.fullmatch(r"[\s\d.e+-]+", line):
            numbers.extend(factor * float(word) for word in line.split())
    return torch.tensor(numbers)


def check_hello_world(program: str) -> None:
    lines = run(program).splitlines()
    assert sorted(lines) == ["Hello world! 0", "Hello world! 1"], lines


def check_quickstart(program: str) -> None:
    torch.manual_seed(0)
    model = ResNet18().eval()
    with PackageExporter("resnet18.pt") as exporter:
        exporter.intern("resnet18")
        exporter.extern("torch.**")
        exporter.save_pickle("model", "model.pkl", model)
    with torch.no_grad():
        expected = model(torch.ones(1, 3, 224, 224))[:, :5]
    torch.testing.assert_close(
        printed_numbers(run(program, "resnet18.pt")), expected.flatten(), atol=1e-4, rtol=1e-3
    )


def check_movable(program: str) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        expected = torch.nn.Conv2d(6, 2, 2, 1)(torch.ones(1, 6, 6, 6))
    torch.testing.assert_close(
        printed_numbers(run(program)), expected.flatten(), atol=1e-4, rtol=1e-3
    )


CHECKS: dict[str, Callable[[str], None]] = {
    "hello_world": check_hello_world,
    "quickstart": check_quickstart,
    "movable": check_movable,
}

if __name__ == "__main__":
    CHECKS[sys.argv[1]](sys.argv[2])
