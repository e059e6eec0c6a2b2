"""A PackageExporter that decides by itself what goes into the archive."""

from __future__ import annotations

import importlib
import inspect
import pickle
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.package.importer import Importer
from torch.package.package_exporter import PackageExporter

from torchdeploy_pkg import main_source
from torchdeploy_pkg.dataclass_cure import with_module_registered
from torchdeploy_pkg.errors import PackagingError

if TYPE_CHECKING:
    from types import ModuleType

    from torchdeploy_pkg.dependency_rules import DependencyRules

_IN_ARCHIVE = "torchdeploy_pkg.in_archive."
ENTRY_PACKAGE = "torchdeploy_entry."
_MAIN = ("__main__", "__mp_main__")
# Names that torch.package gives a meaning of their own.
_TORCH_PACKAGE_MODULES = ("torch_package_importer", "_mock")


class _ArchiveNames(Importer):
    """Python's own modules, two of them under the name that they have in an archive."""

    def __init__(self) -> None:
        self.main_alias = main_source.alias_of_main()
        self.used_of_main: list[str] = []

    def import_module(self, module_name: str) -> ModuleType:
        if module_name == self.main_alias:
            return sys.modules["__main__"]
        if module_name.startswith(ENTRY_PACKAGE):
            module_name = _IN_ARCHIVE + module_name.removeprefix(ENTRY_PACKAGE)
        return importlib.import_module(module_name)

    def whichmodule(self, obj: Any, name: str) -> str:
        module: str = getattr(obj, "__module__", None) or pickle.whichmodule(obj, name)  # type: ignore[attr-defined]
        if module in _MAIN:
            self.used_of_main.append(name)
            return self.main_alias
        if module.startswith(_IN_ARCHIVE):
            return ENTRY_PACKAGE + module.removeprefix(_IN_ARCHIVE)
        return module


class ModelExporter(PackageExporter):  # type: ignore[misc, unused-ignore]
    """Writes one archive; used as a context manager, as its base is."""

    def __init__(self, path: str, rules: DependencyRules) -> None:
        self._names = _ArchiveNames()
        self._rules = rules
        super().__init__(path, importer=self._names)
        self.extern("**")

    def add_dependency(self, module_name: str, dependencies: bool = True) -> None:
        """Intern or extern a module that a pickle or a source file refers to."""
        if module_name == self._names.main_alias:
            return  # save_main() does, once all that is used of it is known.
        known = self.dependency_graph.nodes.get(module_name, {}).get("provided")
        if known or module_name in _TORCH_PACKAGE_MODULES or not self._is_interned(module_name):
            super().add_dependency(module_name, dependencies)
            return
        module = self.importer.import_module(module_name)
        self.save_source_string(
            module_name,
            with_module_registered(_source_of(module, module_name)),
            is_package=hasattr(module, "__path__"),
            dependencies=dependencies,
        )

    def save_main(self) -> None:
        """Intern what the pickles written so far use of ``__main__``."""
        if self._names.used_of_main:
            source = main_source.source_of_main(self._names.used_of_main)
            self.save_source_string(self._names.main_alias, with_module_registered(source))

    def check(self) -> None:
        """Raise PackagingError for what stands in the way of a good archive."""
        for module, attributes in self.dependency_graph.nodes.items():
            if "error" in attributes:
                path = " -> ".join(self.dependency_graph.first_path(module))
                msg = (
                    f"{module} (reached by {path}): {attributes['error'].value} "
                    f"{attributes.get('error_context') or ''}"
                )
                raise PackagingError(msg.rstrip())

    def _is_interned(self, module_name: str) -> bool:
        return module_name.startswith(ENTRY_PACKAGE) or self._rules.is_interned(module_name)


def _source_of(module: ModuleType, name: str) -> str:
    file = getattr(module, "__file__", None)
    if file is None and hasattr(module, "__path__"):
        return ""  # A namespace package.
    try:
        # Through the loader where it can, for modules in a zip file.
        source = inspect.getsource(module)
    except (OSError, TypeError) as exc:
        if file is not None and not Path(file).read_bytes():
            return ""  # inspect refuses an empty file.
        msg = (
            f"{name} ({file or 'no file'}) has no Python source that could go into the archive; "
            f"pass extern=[{name!r}] if it is importable where the archive is served."
        )
        raise PackagingError(msg) from exc
    return source
