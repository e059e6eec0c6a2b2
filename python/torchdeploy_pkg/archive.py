"""Reading what an archive says of itself, without torch and without running its code."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from torchdeploy_pkg.errors import DataLossError, NotFoundError
from torchdeploy_pkg.manifest import MANIFEST_RESOURCE, PACKAGE, Manifest

if TYPE_CHECKING:
    import os


def inspect_archive(path: str | os.PathLike[str]) -> Manifest | None:
    """The manifest of an archive; ``None`` when it was written by plain ``torch.package``.

    Raises:
        NotFoundError: There is no such file.
        DataLossError: The file is not a torch.package archive, or is cut short.
        InvalidArgumentError: The manifest breaks a rule of docs/manifest.md.
    """
    if not Path(path).is_file():
        msg = f"{path}: no such file"
        raise NotFoundError(msg)
    try:
        with zipfile.ZipFile(path) as archive:
            # torch puts all records into one folder, named for the file.
            records = {name.partition("/")[2]: name for name in archive.namelist()}
            if ".data/extern_modules" not in records:
                msg = f"{path}: a zip file, but not a torch.package archive"
                raise DataLossError(msg)
            record = records.get(f"{PACKAGE}/{MANIFEST_RESOURCE}")
            return None if record is None else Manifest.from_json(archive.read(record))
    except zipfile.BadZipFile as exc:
        msg = f"{path}: not a torch.package archive, or cut short: {exc}"
        raise DataLossError(msg) from exc
