"""What an archive says of itself is read without trust."""

from __future__ import annotations

import random
import tracemalloc
from typing import TYPE_CHECKING

import pytest
import torch
from hostile_zip import DEFLATED, Record, write_zip, zeros_deflated

from torchdeploy_pkg import InvalidArgumentError, inspect_archive, package
from torchdeploy_pkg.errors import DataLossError

if TYPE_CHECKING:
    from pathlib import Path


def test_damaged_file_is_refused_or_says_what_it_said(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    package(torch.nn.Linear(4, 4).eval(), path, example_inputs=torch.ones(1, 4))
    data, manifest = path.read_bytes(), inspect_archive(path)
    chance = random.Random(0)
    start = data.index(b"manifest.json")
    places = [*chance.sample(range(len(data)), 300), *range(start, start + 500)]
    places += range(len(data) - 800, len(data))
    for place in places:
        damaged = bytearray(data)
        damaged[place] ^= 1 << chance.randrange(8)
        path.write_bytes(damaged)
        try:
            found = inspect_archive(path)
        except DataLossError:
            continue
        assert found in (manifest, None), place


def test_manifest_that_inflates_to_far_more_is_refused(tmp_path: Path) -> None:
    bomb = zeros_deflated(1 << 30)
    records = [
        Record(b"m/.data/extern_modules"),
        Record(b"m/torchdeploy/manifest.json", bomb, DEFLATED, size=1 << 30),
    ]
    path = tmp_path / "bomb.pt"
    path.write_bytes(write_zip(records))
    tracemalloc.start()
    with pytest.raises(InvalidArgumentError, match="manifest has over 16777216 bytes"):
        inspect_archive(path)
    assert tracemalloc.get_traced_memory()[1] < 100 << 20
    tracemalloc.stop()
