"""Objects as plain data that other interpreters take, their storages shared."""

from __future__ import annotations

import io
from typing import Any

import torch
from torch.package._package_pickler import create_pickler
from torch.package._package_unpickler import PackageUnpickler
from torch.package.importer import Importer, OrderedImporter, sys_importer
from torch.storage import TypedStorage

# The pickled object, and its storages, each as a tensor of bytes.
Pickled = tuple[bytes, list[torch.Tensor]]


class _Storages:
    """The storages of one object, each of them once."""

    def __init__(self) -> None:
        self.tensors: list[torch.Tensor] = []
        self._places: dict[int, int] = {}

    def persistent_id(self, value: object) -> tuple[str, int, str] | None:
        if isinstance(value, TypedStorage):
            return "storage", self._place(value._untyped_storage), str(value.dtype)
        if isinstance(value, torch.UntypedStorage):
            return "storage", self._place(value), ""
        return None

    def _place(self, storage: torch.UntypedStorage) -> int:
        place = self._places.setdefault(storage._cdata, len(self.tensors))
        if place == len(self.tensors):
            empty = torch.empty(0, dtype=torch.uint8, device=storage.device)
            self.tensors.append(empty.set_(storage))
        return place


class _Unpickler(PackageUnpickler):
    """Gives back the storages that were set apart."""

    def __init__(self, importer: Importer, pickled: Pickled) -> None:
        data, tensors = pickled
        super().__init__(importer, io.BytesIO(data))
        self._storages = [tensor.untyped_storage() for tensor in tensors]

    def persistent_load(self, pid: tuple[str, int, str]) -> torch.UntypedStorage | TypedStorage:
        _, place, dtype = pid
        if not dtype:
            return self._storages[place]
        return TypedStorage(  # type: ignore[no-untyped-call]
            wrap_storage=self._storages[place],
            dtype=getattr(torch, dtype.removeprefix("torch.")),
            _internal=True,
        )


def pickle(value: object, importer: Importer | None) -> Pickled:
    """Return `value` as data; names of the archive of `importer` are looked up there.

    Raises:
        PicklingError: Something in it cannot be pickled, or is another archive's.
    """
    storages = _Storages()
    buffer = io.BytesIO()
    pickler = create_pickler(buffer, _importers(importer))  # type: ignore[no-untyped-call]
    pickler.persistent_id = storages.persistent_id
    pickler.dump(value)
    return buffer.getvalue(), storages.tensors


def unpickle(importer: Importer | None, pickled: Pickled) -> Any:
    """Return the object of which `pickled` was made, over the same storages."""
    return _Unpickler(_importers(importer), pickled).load()


def _importers(importer: Importer | None) -> Importer:
    if importer is None:
        return sys_importer
    return OrderedImporter(importer, sys_importer)  # type: ignore[no-untyped-call]
