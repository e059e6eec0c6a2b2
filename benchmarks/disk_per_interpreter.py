"""Disk that the copies of the libraries take for one interpreter."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import sys
import tempfile
from pathlib import Path

import numpy as np
from figures import BUILD, Figure, command_of

from torchdeploy_pkg import InterpreterManager

INTERPRETERS = 2

# Source: linux/fs.h, linux/fiemap.h
FICLONE = 0x40049409
FS_IOC_FIEMAP = 0xC020660B
FIEMAP_FLAG_SYNC = 1
FIEMAP_EXTENT_SHARED = 0x2000
FIEMAP = struct.Struct("=QQIIII")
FIEMAP_EXTENT = struct.Struct("=QQQ16xI12x")
MOST_EXTENTS = 1000  # The kernel's answer must fit 64 KB of extents; a copy has far fewer.


def can_clone(source: Path, folder: Path) -> bool:
    """Whether the file system of `folder` can hold a clone of `source`."""
    with source.open("rb") as original, tempfile.TemporaryFile(dir=folder) as clone:
        try:
            fcntl.ioctl(clone, FICLONE, original.fileno())
        except OSError:
            return False
    return True


def shared_bytes(path: Path) -> int:
    """How much of the file other files hold as well, where the file system can say it."""
    request = bytearray(FIEMAP.size + MOST_EXTENTS * FIEMAP_EXTENT.size)
    FIEMAP.pack_into(request, 0, 0, 2**64 - 1, FIEMAP_FLAG_SYNC, 0, MOST_EXTENTS, 0)
    with path.open("rb") as file:
        try:
            fcntl.ioctl(file, FS_IOC_FIEMAP, request)
        except OSError:
            return 0
    mapped = FIEMAP.unpack_from(request)[3]
    extents = FIEMAP_EXTENT.iter_unpack(request[FIEMAP.size :])
    return sum(
        length
        for _, (_, _, length, flags) in zip(range(mapped), extents, strict=False)
        if flags & FIEMAP_EXTENT_SHARED
    )


def own_mb(folder: Path) -> float:
    """Allocated blocks of all files in the folder, less those that are shared."""
    total = 0
    for path in folder.rglob("*"):
        if path.is_file():
            total += path.stat().st_blocks * 512 - shared_bytes(path)
    return total / 2**20


def measure(_quick: bool) -> list[Figure]:
    """Disk that the copies of the libraries take for one interpreter."""
    BUILD.mkdir(exist_ok=True)
    cache = Path(tempfile.mkdtemp(prefix="cache-", dir=BUILD))
    try:
        with InterpreterManager(INTERPRETERS, intra_op_threads=1, cache=cache):
            os.sync()
            folders = [path for path in cache.glob("*/*/*") if path.is_dir()]
            each = [own_mb(folder) for folder in folders]
        clones = can_clone(Path(np.__file__), cache)
    finally:
        shutil.rmtree(cache)
    if len(each) != INTERPRETERS:
        sys.exit(f"the cache has {len(each)} folders; expected one for each interpreter")
    note = "its file system clones" if clones else "its file system cannot clone (then 5 MB)"
    mean, target = sum(each) / len(each), 5 if clones else 400
    return [Figure("disk per interpreter", mean, min(each), max(each), "MB", target, note=note)]


if __name__ == "__main__":
    command_of(measure)()
