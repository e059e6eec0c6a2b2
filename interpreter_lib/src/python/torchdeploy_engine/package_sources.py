"""The source that a packaged module is made of."""

from __future__ import annotations

import ast
import hashlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIX = "<torch_package_"


def package_of(module: str) -> str:
    """Return torch's name of the open archive of `module`, "" for an installed module."""
    return module.partition(">")[0] if module.startswith(_PREFIX) else ""


def demangled(module: str) -> str:
    """Return the module's name inside its archive."""
    return module.partition(">.")[2] if module.startswith(_PREFIX) else module


def sources_of(importer: Any, module: str) -> frozenset[tuple[str, bytes]]:
    """Return name and digest of `module` and of all modules of its archive that it imports.

    An import counts wherever it stands, in a function as well; one by computed name does not.
    """
    digests: dict[str, bytes] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        found = None if name in digests else _read(importer, name)
        if found is not None:
            source, package = found
            digests[name] = hashlib.sha256(source).digest()
            waiting.extend(_imports(source, package))
            waiting.append(name.rpartition(".")[0])
    return frozenset(digests.items())


def _read(importer: Any, module: str) -> tuple[bytes, str] | None:
    """Return the module's source and the package that its relative imports start from."""
    path = module.replace(".", "/")
    for record, package in (
        (f"{path}.py", module.rpartition(".")[0]),
        (f"{path}/__init__.py", module),
    ):
        if module and importer.zip_reader.has_record(record):
            return importer.zip_reader.get_record(record), package
    return None


def _imports(source: bytes, package: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base(node, package)
            yield base
            yield from (f"{base}.{alias.name}" if base else alias.name for alias in node.names)


def _base(node: ast.ImportFrom, package: str) -> str:
    """Return the absolute name of the module that is imported from."""
    if node.level == 0:
        return node.module or ""
    parents = package.split(".")
    kept = parents[: len(parents) - node.level + 1]
    return ".".join([*kept, *([node.module] if node.module else [])])
