"""Each archive, read by torch.package in a fresh process, gives the model's own numbers."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from architectures import ARCHITECTURES, Architecture

from torchdeploy_pkg import package
from torchdeploy_pkg.call_template import template_of_example

if TYPE_CHECKING:
    from collections.abc import Iterator

Answers = dict[str, list[dict[str, Any]]]
READER = Path(__file__).with_name("read_archives.py")


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """Answers of every entry, from one process that has only torch and installed packages."""
    folder = tmp_path_factory.mktemp("archives")
    torch.set_num_threads(1)
    for architecture in ARCHITECTURES:
        model, example, further = architecture.build()
        package(model, folder / f"{architecture.name}.pt", example_inputs=example)
        wire = [template_of_example(model, inputs).values for inputs in (example, *further)]
        torch.save(wire, folder / f"{architecture.name}.inputs")
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-P", str(READER), str(folder)]
    subprocess.run(command, check=True, cwd=folder, env=environment)
    return {
        a.name: torch.load(folder / f"{a.name}.answers", weights_only=False) for a in ARCHITECTURES
    }


def leaves(value: Any) -> Iterator[Any]:
    """Values in a result, in order, found without the code under test."""
    if isinstance(value, dict):
        for item in value.values():
            yield from leaves(item)
    elif is_dataclass(value):
        for field in fields(value):
            yield from leaves(getattr(value, field.name))
    elif isinstance(value, tuple) or (
        isinstance(value, list) and not isinstance(value[0], (str, float))
    ):
        for item in value:
            yield from leaves(item)
    elif value is not None:
        yield value


def as_wire(value: Any) -> Any:
    if isinstance(value, str):
        return [value.encode()]
    if isinstance(value, list) and isinstance(value[0], str):
        return [item.encode() for item in value]
    if isinstance(value, torch.Tensor):
        return value
    if not isinstance(value, (int, float, list)):
        return torch.from_numpy(value.copy())
    return torch.tensor(value, dtype=torch.int64 if isinstance(value, int) else torch.float64)


def call(model: Any, inputs: Any) -> list[Any]:
    inputs = copy.deepcopy(inputs)
    with torch.no_grad():
        result = model(**inputs) if isinstance(inputs, dict) else model(*inputs)
    # A copy, since the next call may write to a buffer that this result aliases.
    return copy.deepcopy([as_wire(leaf) for leaf in leaves(result)])


def equal(a: Any, b: Any) -> bool:
    if not isinstance(a, torch.Tensor) or not isinstance(b, torch.Tensor):
        return bool(a == b)
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    # Bytes, so that a NaN equals itself and -0.0 does not equal 0.0.
    a, b = (
        tensor.clone(memory_format=torch.contiguous_format).reshape(-1).view(torch.uint8)
        for tensor in (a, b)
    )
    return torch.equal(a, b)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_entry_in_a_fresh_process_equals_the_model_bit_for_bit(
    architecture: Architecture, answers: Answers
) -> None:
    model, example, further = architecture.build()
    expected = [call(model, inputs) for inputs in (example, *further)]
    found = [list(answer.values()) for answer in answers[architecture.name]]
    assert len(expected) == len(found)
    for want, got in zip(expected, found, strict=True):
        assert len(want) == len(got)
        assert all(equal(a, b) for a, b in zip(want, got, strict=True)), (want, got)
