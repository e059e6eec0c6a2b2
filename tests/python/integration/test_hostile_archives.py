"""Archives that are damaged, or made to do harm: one clear error, and nothing is written."""

from __future__ import annotations

import io
import os
import random
import re
import struct
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
import torch
from hostile_zip import DEFLATED, Record, deflate, write_zip, zeros_deflated

from torchdeploy_pkg import InterpreterManager, package
from torchdeploy_pkg.errors import (
    DataLossError,
    InvalidArgumentError,
    ResourceExhaustedError,
    StatusError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.integration

REFUSALS = (DataLossError, InvalidArgumentError, ResourceExhaustedError)
MOST_GROWTH_KB = 256 << 10
MEMORY_BYTES = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


class Good(NamedTuple):
    """An archive that nobody has touched."""

    data: bytes
    x: torch.Tensor
    y: torch.Tensor
    records: list[Record]  # Root folder included.
    storages: list[range]  # Places of the weights.


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Good:
    path = tmp_path_factory.mktemp("good") / "model.pt"
    torch.manual_seed(0)
    model = torch.nn.Linear(6, 6).eval()
    package(model, path, example_inputs=torch.ones(1, 6))
    data = path.read_bytes()
    records, storages = [], []
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            records.append(Record(info.filename.encode(), archive.read(info)))
            if info.filename.endswith(".storage"):
                lengths = struct.unpack_from("<HH", data, info.header_offset + 26)
                start = info.header_offset + 30 + sum(lengths)
                storages.append(range(start, start + info.file_size))
    x = torch.randn(3, 6)
    with torch.no_grad():
        return Good(data, x, model(x), records, storages)


@pytest.fixture(scope="module")
def manager() -> Iterator[InterpreterManager]:
    with InterpreterManager(1, intra_op_threads=1) as manager:
        yield manager


class Attack:
    """Loads and calls archives; says what came of it."""

    def __init__(self, manager: InterpreterManager, good: Good, folder: Path) -> None:
        self._manager = manager
        self._good = good
        self._folder = folder
        self._path = folder / "hostile" / "model.pt"
        self._path.parent.mkdir()

    def with_bytes(self, data: bytes) -> StatusError | torch.Tensor:
        self._path.write_bytes(data)
        return self.with_file(self._path)

    def with_records(self, records: list[Record]) -> StatusError | torch.Tensor:
        return self.with_bytes(write_zip(records))

    def with_file(self, path: Path) -> StatusError | torch.Tensor:
        before = self._files()
        Path("/proc/self/clear_refs").write_text("5")  # Begin a new peak.
        kb_before = peak_kb()
        try:
            answer = self._manager.load_package(path).load_entry()(input=self._good.x)
        except REFUSALS as refused:
            message = str(refused)
            assert str(path) in message
            assert "\n" not in message
            assert message.isprintable()
            assert len(message) < 400 + len(str(path))
            return refused
        else:
            return torch.as_tensor(answer["output"])
        finally:
            assert self._files() == before, "something was written"
            assert peak_kb() < kb_before + MOST_GROWTH_KB

    def _files(self) -> list[str]:
        return sorted(map(str, self._folder.rglob("*")))


def peak_kb() -> int:
    found = re.search(r"VmHWM:\s*(\d+)", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1])


@pytest.fixture
def attack(
    manager: InterpreterManager, good: Good, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Attack:
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return Attack(manager, good, tmp_path)


def test_archive_that_nobody_touched_is_served(attack: Attack, good: Good) -> None:
    for data in (good.data, write_zip(good.records)):
        answer = attack.with_bytes(data)
        assert isinstance(answer, torch.Tensor)
        assert torch.equal(answer, good.y)


def test_archive_cut_short_anywhere_is_refused(attack: Attack, good: Good) -> None:
    lengths = {*range(0, len(good.data), 199), *range(len(good.data) - 40, len(good.data))}
    for length in sorted(lengths):
        assert isinstance(attack.with_bytes(good.data[:length]), DataLossError), length


def test_flipped_bit_is_refused_or_changes_nothing_but_a_weight(attack: Attack, good: Good) -> None:
    chance = random.Random(0)
    directory = good.data.rindex(b"PK\5\6") - 800
    places = chance.sample(range(len(good.data)), 200)
    places += chance.sample(range(directory, len(good.data)), 200)
    headers = [match.start() for match in re.finditer(re.escape(b"PK\3\4"), good.data)]
    places += [header + chance.randrange(64) for header in headers for _ in range(12)]
    refused = 0
    for place in places:
        damaged = bytearray(good.data)
        damaged[place] ^= 1 << chance.randrange(8)
        answer = attack.with_bytes(bytes(damaged))
        if isinstance(answer, StatusError):
            refused += 1
        elif not any(place in storage for storage in good.storages):
            assert torch.equal(answer, good.y), place
    assert refused > len(places) / 2


def test_weights_do_not_move_unseen(attack: Attack, good: Good) -> None:
    for place in (match.start() for match in re.finditer(re.escape(b"PK\3\4"), good.data)):
        for delta in (-64, -16, -8, -4, -1, 1, 4, 8, 12, 16, 64):
            damaged = bytearray(good.data)
            (extra,) = struct.unpack_from("<H", damaged, place + 28)
            struct.pack_into("<H", damaged, place + 28, (extra + delta) % 65536)
            assert isinstance(attack.with_bytes(bytes(damaged)), DataLossError), (place, delta)


def saved_by_torch() -> bytes:
    file = io.BytesIO()
    torch.save({"a": torch.ones(3)}, file)
    return file.getvalue()


@pytest.mark.parametrize(
    "make",
    [
        bytes,
        lambda: b"not a zip file " * 1000,
        lambda: b"\x7fELF" + bytes(100_000),
        lambda: random.Random(1).randbytes(100_000),
        lambda: b"PK\5\6" + bytes(18),
        lambda: b"PK\5\6" * 20_000,
        saved_by_torch,
        lambda: write_zip([Record(b"readme.txt", b"hello")]),
    ],
    ids=["empty", "text", "elf", "random", "no_records", "ends", "torch_save", "other_zip"],
)
def test_other_files_are_refused(attack: Attack, make: Callable[[], bytes]) -> None:
    assert isinstance(attack.with_bytes(make()), DataLossError)


def test_folder_is_refused(attack: Attack, tmp_path: Path) -> None:
    assert isinstance(attack.with_file(tmp_path), InvalidArgumentError)


@pytest.mark.parametrize(
    "name",
    [
        *(b"../../evil", b"/etc/evil", b"model/../../evil", b"model/..", b"other/evil", b"evil"),
        *(b"model/a\0b", b"model/" + b"../" * 20_000),
    ],
    ids=["above", "absolute", "inside_above", "dots", "other", "bare", "nul", "long"],
)
def test_record_that_lies_outside_is_refused(attack: Attack, good: Good, name: bytes) -> None:
    refused = attack.with_records([*good.records, Record(name, b"evil")])
    assert isinstance(refused, InvalidArgumentError)
    assert not list(Path("/etc").glob("evil"))


def test_root_that_lies_outside_is_refused(attack: Attack, good: Good) -> None:
    for root in (b"..", b".", b""):
        moved = [Record(root + r.name[r.name.index(b"/") :], r.data) for r in good.records]
        assert isinstance(attack.with_records(moved), InvalidArgumentError)


def test_bomb_of_more_than_all_memory_is_refused(attack: Attack, good: Good) -> None:
    size = 2 * MEMORY_BYTES >> 24 << 24
    for pieces in (1, 10):
        bomb = zeros_deflated(size // pieces >> 24 << 24)
        said = size // pieces >> 24 << 24
        bombs = [
            Record(b"model/%d.bin" % i, bomb, DEFLATED, size=said, crc=0) for i in range(pieces)
        ]
        assert isinstance(attack.with_records([*good.records, *bombs]), ResourceExhaustedError)


@pytest.mark.parametrize("size", [0, 99, 101, 1 << 20, 1 << 40, (1 << 63) + 5, (1 << 64) - 1])
@pytest.mark.parametrize("name", [b"model/x.bin", b"model/torchdeploy/manifest.json"])
def test_record_that_lies_about_its_size_is_refused(
    attack: Attack, good: Good, size: int, name: bytes
) -> None:
    data = bytes(100)
    others = [record for record in good.records if record.name != name]
    for lie in (
        Record(name, deflate(data), DEFLATED, size=size, crc=0),
        Record(name, data, size=size),
    ):
        assert isinstance(attack.with_records([*others, lie]), DataLossError)


def test_records_that_overlap_are_refused(attack: Attack, good: Good) -> None:
    """As the bombs that need no nesting: many records that share one piece of the file."""
    kernel = Record(b"model/0", deflate(bytes(1 << 20)), DEFLATED, size=1 << 20)
    at = len(write_zip(good.records)) - directory_bytes(good.records) - 22
    others = [
        Record(b"model/%d" % i, kernel.data, DEFLATED, size=1 << 20, at=at, has_local=False)
        for i in range(1, 1000)
    ]
    assert isinstance(attack.with_records([*good.records, kernel, *others]), DataLossError)


def directory_bytes(records: list[Record]) -> int:
    return sum(46 + len(record.name) for record in records)


@pytest.mark.parametrize("count", [0, 1, 65_535, 1 << 32, (1 << 63) - 1, (1 << 64) - 1])
def test_count_of_records_that_is_a_lie_is_refused(attack: Attack, good: Good, count: int) -> None:
    assert isinstance(attack.with_bytes(write_zip(good.records, count=count)), DataLossError)


def test_bomb_of_records_is_refused(attack: Attack, good: Good) -> None:
    many = [Record(b"model/%d" % i) for i in range(300_000)]
    refused = attack.with_records([*good.records, *many])
    assert isinstance(refused, ResourceExhaustedError)
    assert str(len(good.records) + len(many)) in str(refused)


def test_storage_that_is_shorter_than_the_pickle_says_is_refused(
    attack: Attack, good: Good
) -> None:
    for kept in (0, 1, 4):
        records = [
            Record(r.name, r.data[:kept]) if r.name.endswith(b".storage") else r
            for r in good.records
        ]
        assert isinstance(attack.with_records(records), DataLossError)


@pytest.mark.parametrize(
    "record",
    [
        Record(b"model/.data/version", b"three"),
        Record(b"model/.data/version", b"9" * 400),
        Record(b"model/.data/extern_modules", b"\xff\xfe"),
        Record(b"model/byteorder", b"middle"),
        Record(b"model/\xff\xfe\n\x1b[31m", b""),
        Record(b"model/" + b"n" * 60_000, b""),
        Record(b"model/model/model.pkl/below.py", b""),
        Record(b"model/model/model.pkl", b"", flags=1),
        Record(b"model/model/model.pkl", b"", method=93),
        Record(b"model/byteorder", b"little", local_name=b"model/something"),
    ],
    ids=lambda record: ascii(record.name[:40]),
)
def test_records_that_torch_cannot_read_are_refused(
    attack: Attack, good: Good, record: Record
) -> None:
    others = [other for other in good.records if other.name != record.name]
    answer = attack.with_records([*others, record])
    assert isinstance(answer, StatusError | torch.Tensor)


def test_record_that_is_there_twice_is_refused(attack: Attack, good: Good) -> None:
    again = Record(b"model/model/model.pkl", b"other")
    assert isinstance(attack.with_records([*good.records, again]), DataLossError)
