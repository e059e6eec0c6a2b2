"""Reads an archive that the host holds in memory."""

from __future__ import annotations

import ctypes
import io
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from .errors import Code, Refusal

if TYPE_CHECKING:
    from collections.abc import Iterator

_Reader: Any = torch._C.PyTorchFileReader

_STORED = 0  # The method of a record that is not compressed.
_METHOD_AT = 8  # Its place in a zip file's local header. Source: PKWARE's APPNOTE.TXT, 4.3.7.


class _Bytes(io.RawIOBase):
    """The bytes of a tensor as a file, without a copy."""

    def __init__(self, archive: torch.Tensor) -> None:
        super().__init__()
        self._archive = archive  # Owns the memory.
        size = archive.numel()
        array = (ctypes.c_ubyte * size).from_address(archive.data_ptr())
        self._bytes = memoryview(array).cast("B")
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: len(self._bytes)}
        self._position = start[whence] + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def readinto(self, buffer: Any) -> int:
        out = memoryview(buffer).cast("B")
        found = self._bytes[self._position : self._position + len(out)]
        out[: len(found)] = found
        self._position += len(found)
        return len(found)


class ArchiveReader(_Reader):  # type: ignore[misc]  # torch has no types for it.
    """torch's reader, over the archive called `name` in memory.

    Raises:
        RuntimeError: It is not an archive.
    """

    def __init__(self, name: str, archive: torch.Tensor) -> None:
        super().__init__(_Bytes(archive))
        self._name = name
        self._archive = archive
        self._weights: torch.UntypedStorage | None = None

    @contextmanager
    def storages_in(self, archive: torch.Tensor) -> Iterator[None]:
        """Let storages that are read meanwhile be views of `archive`, the same bytes again."""
        self._weights = archive.untyped_storage()
        try:
            yield
        finally:
            self._weights = None

    def get_storage_from_record(self, name: str, size: int, dtype: torch.dtype) -> torch.Tensor:
        """Return a tensor of `size` elements with the storage that the record holds.

        Raises:
            Refusal: DATA_LOSS, it holds another number of bytes.
        """
        size_bytes = size * dtype.itemsize
        found = self.get_record_size(name)
        if found != size_bytes:
            message = f"{self._name} has {found} bytes in {name}, whose pickle says {size_bytes}"
            raise Refusal(Code.DATA_LOSS, message)
        offset = self.get_record_offset(name)
        if (
            self._weights is None
            or size_bytes == 0
            or offset % dtype.itemsize != 0
            or not self._is_stored(name)
        ):
            read: torch.Tensor = super().get_storage_from_record(name, size, dtype)
            return read
        storage = self._weights[offset : offset + size_bytes]
        return torch.empty(0, dtype=dtype).set_(storage)

    def _is_stored(self, name: str) -> bool:
        method_at = self.get_record_header_offset(name) + _METHOD_AT
        return bool(self._archive[method_at] == _STORED)
