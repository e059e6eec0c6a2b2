"""Zip files that say what they like of themselves."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass, field

STORED, DEFLATED = 0, 8
_MOST = 0xFFFFFFFF


@dataclass
class Record:
    """One record; what is None is as it should be."""

    name: bytes
    data: bytes = b""  # As it stands in the file.
    method: int = STORED
    size: int | None = None  # What the data is said to be once it is inflated.
    crc: int | None = None
    flags: int = 0
    at: int | None = None  # Where the local header is said to stand.
    has_local: bool = True
    local_name: bytes | None = None
    extra: bytes = field(default=b"")

    def sizes(self) -> tuple[int, int, int]:
        crc = zlib.crc32(self.data) if self.crc is None else self.crc
        return crc, len(self.data), len(self.data) if self.size is None else self.size


def write_zip(records: list[Record], *, count: int | None = None) -> bytes:
    """Return a zip file of `records`, which says that it has `count` of them."""
    body, directory = bytearray(), bytearray()
    for record in records:
        crc, stored, size = record.sizes()
        at = len(body) if record.at is None else record.at
        needs_64 = size > _MOST
        extra = struct.pack("<HHQ", 1, 8, size) if needs_64 else b""
        size_32 = _MOST if needs_64 else size
        fields = (20, record.flags, record.method, 0, 0, crc, stored, size_32)
        if record.has_local:
            name = record.name if record.local_name is None else record.local_name
            extra_64 = struct.pack("<HHQQ", 1, 16, size, stored) if needs_64 else b""
            local = extra_64 + record.extra
            body += struct.pack("<4s5H3I2H", b"PK\3\4", *fields, len(name), len(local))
            body += name + local + record.data
        directory += struct.pack("<4s6H3I", b"PK\1\2", 20, *fields)
        directory += struct.pack("<5HII", len(record.name), len(extra), 0, 0, 0, 0, at)
        directory += record.name + extra
    said = len(records) if count is None else count
    end = b""
    if said >= 0xFFFF:
        place = len(body) + len(directory)
        end += struct.pack("<4sQHHIIQQ", b"PK\6\6", 44, 45, 45, 0, 0, said, said)
        end += struct.pack("<QQ", len(directory), len(body))
        end += struct.pack("<4sIQI", b"PK\6\7", 0, place, 1)
        said = 0xFFFF
    end += struct.pack("<4s4H", b"PK\5\6", 0, 0, said, said)
    end += struct.pack("<IIH", len(directory), len(body), 0)
    return bytes(body + directory) + end


def deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


def zeros_deflated(size: int) -> bytes:
    """Return about `size` / 1030 bytes that inflate to `size` zeros, a multiple of 16 MiB."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)
    return block * (size >> 24) + packer.flush(zlib.Z_FINISH)
