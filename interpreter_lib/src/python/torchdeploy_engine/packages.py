"""Opens torch.package archives and checks what they ask for."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import warnings
from typing import Any

import torch

from .archive_importer import ArchiveImporter
from .archive_memory import ArchiveReader
from .errors import Code, Refusal

MANIFEST = "torchdeploy/manifest.json"
FORMAT = 1


def open_package(name: str, archive: torch.Tensor) -> ArchiveImporter:
    """Return the importer of the archive called `name`, of which nothing has run yet.

    Raises:
        Refusal: DATA_LOSS (it is not an archive, or cut short), INVALID_ARGUMENT (its manifest
            is not valid), FAILED_PRECONDITION (it needs other versions than are installed).
    """
    try:
        reader = ArchiveReader(name, archive)
        if reader.has_record(MANIFEST):
            _check_manifest(name, _read_manifest(name, reader))
        return ArchiveImporter(name, reader)
    except Refusal:
        raise
    except Exception as error:  # Whatever torch's C++ and Python throw at broken rules.
        reason = str(error).partition("\n")[0]
        message = f"{name} is not a torch.package archive: {reason}"
        raise Refusal(Code.DATA_LOSS, message) from error


def load_pickle(importer: object, package: str, resource: str, archive: torch.Tensor) -> Any:
    """Return `importer.load_pickle(package, resource)`, whose tensors are views of `archive`.

    Raises:
        Refusal: INVALID_ARGUMENT (not an importer), NOT_FOUND (no such pickle), DATA_LOSS (a
            storage has another size than the pickle says).
    """
    if not isinstance(importer, ArchiveImporter):
        message = f"expected a torch.package importer, got {type(importer).__name__}"
        raise Refusal(Code.INVALID_ARGUMENT, message)
    record = f"{package.replace('.', '/')}/{resource}"
    if not importer.zip_reader.has_record(record):
        message = f'{importer.filename} has no pickle "{resource}" in package "{package}"'
        raise Refusal(Code.NOT_FOUND, message)
    reader: ArchiveReader = importer.zip_reader
    with warnings.catch_warnings(), reader.storages_in(archive):
        # torch.package's own: it reads a storage's dtype in a way that torch deprecates.
        warnings.filterwarnings("ignore", category=UserWarning, module="torch.package")
        return importer.load_pickle(package, resource)


def _read_manifest(name: str, reader: Any) -> dict[str, Any]:
    try:
        record = reader.get_record(MANIFEST)
    except RuntimeError as error:
        raise Refusal(Code.DATA_LOSS, f"the manifest of {name} is damaged: {error}") from error
    try:
        manifest = json.loads(record)
    except ValueError as error:
        raise _invalid(name, f"it is not JSON: {error}") from error
    if not isinstance(manifest, dict):
        raise _invalid(name, "it is not a JSON object")
    return manifest


def _invalid(name: str, reason: str) -> Refusal:
    return Refusal(Code.INVALID_ARGUMENT, f"the manifest of {name} is not valid: {reason}")


def _check_manifest(name: str, manifest: dict[str, Any]) -> None:
    if manifest.get("format") != FORMAT:
        found = manifest.get("format")
        message = f"{name} has manifest format {found!r}; this reader knows {FORMAT}"
        raise Refusal(Code.FAILED_PRECONDITION, message)
    distributions = manifest.get("distributions", {})
    if not isinstance(distributions, dict):
        raise _invalid(name, '"distributions" is not an object')
    problems = [
        *_release_problems("Python", manifest.get("python"), platform.python_version()),
        *_release_problems("torch", manifest.get("torch"), str(torch.__version__)),
        *(text for key in sorted(distributions) for text in _problems(key, distributions[key])),
    ]
    if problems:
        message = f"{name} needs other versions than are installed: {'; '.join(problems)}"
        raise Refusal(Code.FAILED_PRECONDITION, message)


def _release_problems(name: str, wanted: object, found: str) -> list[str]:
    """Compare major and minor; an absent key asks for nothing."""
    if wanted is None or str(wanted).split(".")[:2] == found.split(".")[:2]:
        return []
    return [f"{name} {wanted} is wanted, {found} is here"]


def _problems(name: str, wanted: object) -> list[str]:
    try:
        found = importlib.metadata.version(name)
    except (importlib.metadata.PackageNotFoundError, ValueError):
        return [f"{name} {wanted} is wanted, none is here"]
    if _public(str(wanted)) == _public(found):
        return []
    return [f"{name} {wanted} is wanted, {found} is here"]


def _public(version: str) -> str:
    return version.partition("+")[0]
