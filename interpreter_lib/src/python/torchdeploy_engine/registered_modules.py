"""Modules whose source the host gives."""

from __future__ import annotations

import sys
from importlib.abc import InspectLoader, MetaPathFinder
from importlib.util import spec_from_loader
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec


class _RegisteredModules(MetaPathFinder, InspectLoader):
    """Finds them before all others."""

    def __init__(self) -> None:
        self._sources: dict[str, str] = {}

    def register(self, name: str, source: str) -> None:
        compile(source, f"<{name}>", "exec")  # What cannot be imported is refused at once.
        self._sources[name] = source

    def forget(self) -> None:
        self._sources.clear()

    def find_spec(self, fullname: str, *_: Any) -> ModuleSpec | None:
        if fullname in self._sources or self.is_package(fullname):
            return spec_from_loader(fullname, self, origin=f"<{fullname}>")
        return None

    def is_package(self, fullname: str) -> bool:
        return any(name.startswith(f"{fullname}.") for name in self._sources)

    def get_source(self, fullname: str) -> str:
        return self._sources.get(fullname, "")


_modules = _RegisteredModules()


def install() -> None:
    """Let imports find what is registered from now on."""
    sys.meta_path.insert(0, _modules)


def register(name: str, source: str) -> None:
    """Let ``import name`` run `source`, unless a module of that name was imported already.

    Raises:
        SyntaxError: It is not Python.
    """
    _modules.register(name, source)


def forget() -> None:
    """Take back all registrations, and the modules that were made of them."""
    _modules.forget()
    for name, module in list(sys.modules.items()):
        if getattr(module, "__loader__", None) is _modules:
            del sys.modules[name]
