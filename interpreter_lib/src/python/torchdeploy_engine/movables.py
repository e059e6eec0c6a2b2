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


def pickle(value: object, importer: Importer | None) -> Pickled:
    """Return `value` as data; names of the archive of `importer` are looked up there.

    Raises:
        PicklingError: Something in it cannot be pickled, or is another archive's.
    """
    storages = _Storages()
    buffer = io.BytesIO()
    pickler = create_pickler(buffer, _importers(importer))
    pickler.persistent_id = storages.persistent_id
    pickler.dump(value)
    return buffer.getvalue(), storages.tensors


def unpickle(importer: Importer | None, pickled: Pickled) -> Any:
    """Return the object of which `pickled` was made, over the same storages."""
    data, tensors = pickled
    storages = [tensor.untyped_storage() for tensor in tensors]

    def persistent_load(saved: tuple[str, int, str]) -> torch.UntypedStorage | TypedStorage:
        _, place, dtype = saved
        if not dtype:
            return storages[place]
        name = dtype.removeprefix("torch.")
        return TypedStorage(  # type: ignore[no-untyped-call]
            wrap_storage=storages[place], dtype=getattr(torch, name), _internal=True
        )

    unpickler = PackageUnpickler(_importers(importer), io.BytesIO(data))
    unpickler.persistent_load = persistent_load
    return unpickler.load()


def _importers(importer: Importer | None) -> Importer:
    return sys_importer if importer is None else OrderedImporter(importer, sys_importer)
