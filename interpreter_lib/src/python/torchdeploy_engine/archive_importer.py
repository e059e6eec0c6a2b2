"""torch's importer, made so that an archive leaves nothing behind."""

from __future__ import annotations

import gc
import linecache
import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from torch.package.package_importer import PackageImporter

if TYPE_CHECKING:
    from .archive_memory import ArchiveReader


class ArchiveImporter(PackageImporter):
    """The importer of the archive called `name`.

    torch's own stays alive for ever once a module was imported: linecache refers to it, for the
    source lines of tracebacks.
    """

    def __init__(self, name: str, reader: ArchiveReader) -> None:
        super().__init__(reader)
        self.filename = name
        package: str = self.id()  # type: ignore[no-untyped-call]
        weakref.finalize(self, _forget_sources, package).atexit = False

    def _make_module(self, name: str, filename: str | None, *rest: Any) -> Any:
        try:
            return super()._make_module(name, filename, *rest)
        finally:
            if filename is not None:
                self._weaken(self._mangler.mangle(filename), name)

    def _weaken(self, file: str, module: str) -> None:
        """Let linecache still find the source of `file`, but not keep this alive."""
        if len(linecache.cache.get(file, ())) == 1:  # Not read yet.
            linecache.cache[file] = (partial(_source, weakref.ref(self), module),)


def free_closed() -> None:
    """Free what only the modules of closed archives still hold: they refer to each other."""
    gc.collect()


def _source(importer: weakref.ref[ArchiveImporter], module: str) -> str | None:
    alive = importer()
    return None if alive is None else alive.get_source(module)


def _forget_sources(package: str) -> None:
    for file in [file for file in linecache.cache if file.startswith(package)]:
        linecache.cache.pop(file, None)
