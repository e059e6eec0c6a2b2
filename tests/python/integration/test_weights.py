"""Weights are one copy for all replicas, whatever the archive is and becomes of its file."""

from __future__ import annotations

import os
import re
import threading
import time
import zipfile
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from counting_model import CountsItsCalls

from torchdeploy_pkg import Client, InterpreterManager, ModelError, Server, package
from torchdeploy_pkg.errors import DataLossError, InvalidArgumentError

if TYPE_CHECKING:
    from torchdeploy_pkg.runtime import ReplicatedObj

pytestmark = pytest.mark.integration

REPLICAS = 4
WEIGHT_BYTES = 32 << 20


MEMORY_FILE = "/memfd:torchdeploy archive (deleted)"


def write_compressed(path: Path, out: Path) -> Path:
    with (
        zipfile.ZipFile(path) as archive,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as compressed,
    ):
        for info in archive.infolist():
            compressed.writestr(info.filename, archive.read(info))
    return out


def write_with_gaps(path: Path, out: Path) -> Path:
    """As a tool that knows nothing of alignment does it."""
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(out, "w") as stored:
        stored.writestr(f"{path.stem}/odd", b"1")
        for info in archive.infolist():
            stored.writestr(info.filename, archive.read(info))
    return out


def resident_kb_of(path: str) -> tuple[list[int], int]:
    """Resident size of each mapping of `path` in this process, and their share of memory."""
    rss, pss = [], 0
    is_wanted = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-", line):
            is_wanted = line.endswith(path)
        elif is_wanted and line.startswith("Rss:"):
            rss.append(int(line.split()[1]))
        elif is_wanted and line.startswith("Pss:"):
            pss += int(line.split()[1])
    return rss, pss


def call_in_every_replica(model: ReplicatedObj, x: torch.Tensor) -> list[torch.Tensor]:
    """Call until each replica has answered at least once."""
    answers: dict[int, torch.Tensor] = {}
    everywhere = threading.Event()

    def call(_: int) -> None:
        while not everywhere.is_set():
            y, _, slot = model(x)
            answers[slot] = y
            if len(answers) == REPLICAS:
                everywhere.set()

    with ThreadPoolExecutor(REPLICAS) as pool:
        list(pool.map(call, range(REPLICAS)))
    return [answers[slot] for slot in range(REPLICAS)]


@pytest.mark.parametrize("how", ["plain", "compressed", "not_aligned", "bytes", "opened"])
def test_weights_of_all_replicas_are_one_copy_in_memory(tmp_path: Path, how: str) -> None:
    torch.manual_seed(0)
    wide = torch.nn.Linear(8192, 1024, bias=False).eval()
    model = CountsItsCalls(wide)
    plain = tmp_path / "wide.pt"
    package(model.eval(), plain, example_inputs=torch.ones(1, 8192))
    os.sync()  # Pages that are not yet written count as this process's own.
    x = torch.randn(1, 8192)
    with InterpreterManager(REPLICAS, intra_op_threads=1) as manager, torch.no_grad():
        if how == "plain":
            opened = manager.load_package(plain)
        elif how == "compressed":
            opened = manager.load_package(write_compressed(plain, tmp_path / "small.pt"))
        elif how == "not_aligned":
            opened = manager.load_package(write_with_gaps(plain, tmp_path / "odd.pt"))
        elif how == "bytes":
            opened = manager.load_package(plain.read_bytes())
        else:
            with plain.open("rb") as file:
                opened = manager.load_package(file)
        assert opened.manifest is not None
        replicated = opened.load_pickle()
        for y in call_in_every_replica(replicated, x):
            assert torch.equal(y, wide(x))
        rss_kb, pss_kb = resident_kb_of(str(plain) if how == "plain" else MEMORY_FILE)
        assert sum(rss >= WEIGHT_BYTES >> 10 for rss in rss_kb) == REPLICAS
        assert pss_kb < 1.02 * (WEIGHT_BYTES >> 10)


def test_archive_in_memory_is_as_it_was_when_it_was_loaded(tmp_path: Path) -> None:
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 64).eval()
    path = tmp_path / "linear.pt"
    package(linear, path, example_inputs=torch.ones(1, 64))
    data = bytearray(path.read_bytes())
    x = torch.randn(3, 64)
    with InterpreterManager(2, intra_op_threads=1) as manager:
        opened = manager.load_package(memoryview(data), name="from the registry")
        assert opened.path is None
        data[:] = bytes(len(data))
        for _ in range(4):
            assert torch.equal(opened.load_entry()(input=x)["output"], linear(x))
        with pytest.raises(DataLossError, match="'from the registry' is not a zip file"):
            manager.load_package(data, name="from the registry")
        with pytest.raises(DataLossError, match="'<memory>' is empty"):
            manager.load_package(b"")
        with pytest.raises(InvalidArgumentError, match="is a int; expected a path, bytes"):
            manager.load_package(7)  # type: ignore[arg-type]
        with pytest.raises(InvalidArgumentError, match="with gaps"):
            manager.load_package(memoryview(path.read_bytes())[::2])


def test_what_a_replica_writes_to_its_weights_is_its_own(tmp_path: Path) -> None:
    archive = tmp_path / "counts.pt"
    package(CountsItsCalls().eval(), archive, example_inputs=torch.ones(1))
    before = archive.read_bytes()
    with InterpreterManager(2, intra_op_threads=1) as manager:
        first = manager.load_package(archive).load_pickle()
        second = manager.load_package(archive).load_pickle()
        counts = defaultdict(list)
        for _ in range(5):
            for model in (first, second):
                _, calls, slot = model(torch.zeros(1))
                counts[model, slot].append(int(calls))
    for numbers in counts.values():
        assert numbers == list(range(1, len(numbers) + 1))
    assert archive.read_bytes() == before


def test_archive_that_is_no_longer_used_leaves_nothing_behind(tmp_path: Path) -> None:
    archive = tmp_path / "counts.pt"
    linear = torch.nn.Linear(4, 4)
    package(CountsItsCalls(linear).eval(), archive, example_inputs=torch.ones(1, 4))

    def mappings() -> int:
        return Path("/proc/self/maps").read_text().count(str(archive))

    def use(manager: InterpreterManager) -> None:
        entry = manager.load_package(archive).load_entry()
        entry(x=torch.ones(1, 4))
        with pytest.raises(ModelError, match="cannot be multiplied") as caught:
            entry(x=torch.ones(1, 3))
        assert "self.inner(x)" in caught.value.traceback
        assert mappings() > 0
        del caught  # Its traceback holds this frame, and that the entry.

    def descriptors_at_most(number: int) -> bool:
        """Once it is unmapped; the thread that watched the file ends a little later."""
        for _ in range(100):
            if mappings() == 0 and len(list(Path("/proc/self/fd").iterdir())) <= number:
                return True
            time.sleep(0.1)
        return False

    with InterpreterManager(1, intra_op_threads=1) as manager:
        use(manager)
        assert descriptors_at_most(1 << 20)
        descriptors = len(list(Path("/proc/self/fd").iterdir()))
        for _ in range(20):
            use(manager)
        assert descriptors_at_most(descriptors)


@pytest.mark.parametrize("how", ["truncated", "rewritten"])
def test_archive_that_changes_while_it_is_served_is_served_as_it_was(
    tmp_path: Path, how: str
) -> None:
    archive = tmp_path / "counts.pt"
    torch.manual_seed(0)
    linear = torch.nn.Linear(64, 64).eval()
    package(CountsItsCalls(linear).eval(), archive, example_inputs=torch.ones(1, 64))
    x = torch.randn(3, 64)
    with Server(archive, interpreters=2) as server, Client(server.url) as client:
        expected = linear(x).detach().numpy()
        for _ in range(4):
            assert np.array_equal(client.infer("counts", {"x": x})["output_0"], expected)
        if how == "truncated":
            os.truncate(archive, 100)
        else:
            archive.write_bytes(b"something else" * 10_000)
        for _ in range(8):
            assert np.array_equal(client.infer("counts", {"x": x})["output_0"], expected)
        assert server.stop() == 0
