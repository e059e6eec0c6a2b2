"""Reading what an archive says of itself, without torch and without running its code."""

from __future__ import annotations

import struct
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from torchdeploy_pkg.errors import DataLossError, InvalidArgumentError, NotFoundError
from torchdeploy_pkg.manifest import MANIFEST_RESOURCE, PACKAGE, Manifest

if TYPE_CHECKING:
    import os

MOST_MANIFEST_BYTES = 16 << 20

# What zipfile raises at a file that breaks its rules.
_BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, OverflowError, ValueError),
)


def inspect_archive(path: str | os.PathLike[str]) -> Manifest | None:
    """The manifest of an archive.

    ``None`` when plain functions of torch have written it.

    Raises:
        NotFoundError: There is no such file.
        DataLossError: The file is no archive that a server runs, or is cut short.
        InvalidArgumentError: The manifest breaks a rule of docs/manifest.md, or has over 16 MiB.
    """
    if not Path(path).is_file():
        msg = f"{path}: no such file"
        raise NotFoundError(msg)
    with Path(path).open("rb") as file:
        try:
            text = _manifest_of(path, zipfile.ZipFile(file))
        except _BROKEN as exc:
            msg = f"{path}: no archive that a server runs, or cut short: {exc}"
            raise DataLossError(msg) from exc
    if text is not None and len(text) > MOST_MANIFEST_BYTES:
        msg = f"{path}: its manifest has over {MOST_MANIFEST_BYTES} bytes"
        raise InvalidArgumentError(msg)
    return None if text is None else Manifest.from_json(text)


def _manifest_of(path: str | os.PathLike[str], archive: zipfile.ZipFile) -> bytes | None:
    # torch puts all records into one folder, named for the file.
    records = {name.partition("/")[2]: name for name in archive.namelist()}
    if ".data/extern_modules" in records:
        name = records.get(f"{PACKAGE}/{MANIFEST_RESOURCE}")
    elif "constants.pkl" in records or "archive_format" in records:
        name = records.get(f"extra/{PACKAGE}/{MANIFEST_RESOURCE}")
    else:
        msg = f"{path}: a zip file, but no archive that a server runs"
        raise DataLossError(msg)
    if name is None:
        return None
    with archive.open(name) as record:
        # Whatever it says of its size, and may inflate to.
        return record.read(MOST_MANIFEST_BYTES + 1)
