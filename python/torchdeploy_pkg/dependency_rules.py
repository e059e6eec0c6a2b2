"""Which modules travel in the archive (interned) and which are expected there (extern)."""

from __future__ import annotations

import importlib.machinery
import importlib.metadata
import importlib.util
import sys
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from torchdeploy_pkg.errors import PackagingError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SITE_FOLDERS = ("site-packages", "dist-packages")
_EXTENSIONS = tuple(importlib.machinery.EXTENSION_SUFFIXES)
# torch has a key of its own in the manifest; torchdeploy_pkg is where archives are served.
_ALWAYS_EXTERN = ("torch", "torchdeploy_pkg")


class DependencyRules:
    """Decides for one archive.

    Extern is: the standard library, torch, and what an installed distribution brought.
    Interned is everything else: the user's own code, editable installs included.

    Args:
        intern: Modules (with what is below them) that are interned whatever they are.
        extern: Modules that are extern whatever they are. The longest name wins.
    """

    def __init__(self, intern: Iterable[str] = (), extern: Iterable[str] = ()) -> None:
        self._asked = dict.fromkeys(extern, False) | dict.fromkeys(intern, True)
        self._decided: dict[str, bool] = {}

    def is_interned(self, module: str) -> bool:
        """Whether the module's source goes into the archive.

        Raises:
            PackagingError: It cannot go there, nor be installed where the archive is served.
        """
        if module not in self._decided:
            self._decided[module] = self._decide(module)
        return self._decided[module]

    def distributions_of(self, modules: Iterable[str]) -> dict[str, str]:
        """The installed distributions that bring these modules, with their versions."""
        found: dict[str, str] = {}
        for module in modules:
            top = module.partition(".")[0]
            if top in sys.stdlib_module_names or top == "torch":
                continue
            for name in self._owners(module):
                found[name] = importlib.metadata.version(name)
        return dict(sorted(found.items()))

    def _decide(self, module: str) -> bool:
        asked = [name for name in self._asked if f"{module}.".startswith(f"{name}.")]
        if asked:
            return self._asked[max(asked, key=len)]
        top = module.partition(".")[0]
        if top in sys.stdlib_module_names or top in _ALWAYS_EXTERN:
            return False
        places = _places(module)
        if not places or self._is_installed(top, places):
            return False
        if any(place.endswith(_EXTENSIONS) for place in places):
            return self._decide_extension(module, places[0])
        return True

    def _decide_extension(self, module: str, place: str) -> bool:
        if self._distributions.get(module.partition(".")[0]):
            return False
        msg = (
            f"{module} is a compiled extension ({place}) that no installed distribution brings, "
            f"and an archive carries Python source only. Install it with pip where the archive "
            f"is made and served, or pass extern=[{module!r}] if it is importable there."
        )
        raise PackagingError(msg)

    def _is_installed(self, top: str, places: list[str]) -> bool:
        folders = [
            folder
            for name in self._distributions.get(top, ())
            if (folder := _folder_of(name)) is not None
        ]
        return all(
            any(Path(place).is_relative_to(folder) for folder in folders) for place in places
        )

    def _owners(self, module: str) -> list[str]:
        names = sorted(set(self._distributions.get(module.partition(".")[0], ())))
        if len(names) < 2:
            return names
        # A namespace that several distributions share, such as google: whose file is it?
        places = _places(module)
        owners = [name for name in names if _brings(name, places)]
        return owners or names

    @cached_property
    def _distributions(self) -> Mapping[str, list[str]]:
        return importlib.metadata.packages_distributions()


def _places(module: str) -> list[str]:
    """The module's file, or a namespace package's folders, without symbolic links."""
    spec = getattr(sys.modules.get(module), "__spec__", None)
    if spec is None:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, ValueError, AttributeError):
            spec = None
    if spec is None:
        return []
    if spec.origin is not None and spec.has_location:
        return [str(Path(spec.origin).resolve())]
    return [str(Path(folder).resolve()) for folder in spec.submodule_search_locations or ()]


def _folder_of(distribution: str) -> Path | None:
    """Where the distribution was installed to; None for a source tree with its metadata."""
    found = importlib.metadata.distribution(distribution)
    folder = Path(str(found.locate_file(""))).resolve()
    is_wheel = found.read_text("WHEEL") is not None
    return folder if is_wheel or folder.name in _SITE_FOLDERS else None


def _brings(distribution: str, places: list[str]) -> bool:
    found = importlib.metadata.distribution(distribution)
    files = {str(Path(str(found.locate_file(file))).resolve()) for file in found.files or ()}
    return any(place in files for place in places)


def version_without_local_part(version: str) -> str:
    """``"2.13.0"`` of ``"2.13.0+cpu"``."""
    return version.partition("+")[0]
