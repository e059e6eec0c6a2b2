"""Tensors as the Open Inference Protocol carries them: datatype, shape and raw bytes."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from torchdeploy_pkg.errors import DataLossError, InvalidArgumentError
from torchdeploy_pkg.types import BYTES, DATATYPE_OF_NUMPY, DATATYPE_OF_TORCH, NUMPY_OF_DATATYPE

_LENGTH = struct.Struct("<I")
_BF16 = "BF16"


def encode(name: str, value: Any) -> tuple[str, list[int], bytes]:
    """Datatype, shape and row-major little-endian elements of one input.

    Args:
        name: Name of the input, for messages.
        value: A numpy array (also of text, bytes or ml_dtypes.bfloat16), a torch tensor,
            text, bytes, or a list of these, nested once for each further dimension.

    Raises:
        InvalidArgumentError: The value is none of these.
    """
    if hasattr(value, "detach") and hasattr(value, "cpu"):
        return _encode_torch(name, value)
    if isinstance(value, (str, bytes)):
        return _encode_text(name, np.array([value], dtype=object))
    if isinstance(value, (list, tuple)):
        return _encode_text(name, _text_array(name, value))
    if not isinstance(value, (np.ndarray, np.generic)):
        msg = f"input {name!r} is a {type(value).__name__}; expected a numpy array or torch tensor"
        raise InvalidArgumentError(msg)
    return _encode_array(name, np.asarray(value))


def decode(name: str, datatype: str, shape: tuple[int, ...], raw: bytes) -> np.ndarray:
    """One output as a numpy array of its own.

    BYTES gives an object array of ``bytes``. numpy has no bfloat16: BF16 gives float32, which
    holds each of its values exactly.

    Raises:
        DataLossError: The bytes do not fit the datatype and the shape.
    """
    try:
        if datatype == BYTES:
            return _decode_text(raw, shape)
        if datatype == _BF16:
            halves = np.frombuffer(raw, dtype="<u2").astype(np.uint32)
            widened: np.ndarray = (halves << np.uint32(16)).view(np.float32)
            return widened.reshape(shape)
        dtype = np.dtype(NUMPY_OF_DATATYPE[datatype]).newbyteorder("<")
        return np.frombuffer(raw, dtype=dtype).astype(dtype.newbyteorder("=")).reshape(shape)
    except (ValueError, KeyError, struct.error) as exc:
        msg = f"output {name!r}: {len(raw)} bytes are no {datatype} of shape {list(shape)}"
        raise DataLossError(msg) from exc


def _encode_torch(name: str, tensor: Any) -> tuple[str, list[int], bytes]:
    kind = str(tensor.dtype).removeprefix("torch.")
    datatype = DATATYPE_OF_TORCH.get(kind)
    if datatype is None:
        raise _unknown_dtype(name, kind)
    tensor = tensor.detach().cpu()
    if datatype == _BF16:
        # numpy has no bfloat16: it is the upper half of the float32 of equal value.
        array = (tensor.float().numpy().view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    else:
        array = tensor.numpy()
    return datatype, list(array.shape), _raw(array)


def _encode_array(name: str, array: np.ndarray) -> tuple[str, list[int], bytes]:
    if array.dtype.kind in "OSU":
        return _encode_text(name, array.astype(object))
    datatype = DATATYPE_OF_NUMPY.get(array.dtype.name)
    if datatype is None:
        raise _unknown_dtype(name, array.dtype.name)
    if datatype == _BF16:
        array = array.view(np.uint16)
    return datatype, list(array.shape), _raw(array)


def _raw(array: np.ndarray) -> bytes:
    raw: bytes = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
    return raw


def _unknown_dtype(name: str, dtype: str) -> InvalidArgumentError:
    known = ", ".join(DATATYPE_OF_NUMPY)
    return InvalidArgumentError(f"input {name!r} is of {dtype}, which cannot travel; use {known}")


def _text_array(name: str, value: Any) -> np.ndarray:
    """Nested lists as an object array; numpy itself would cut NULs off and widen."""
    shape: list[int] = []
    level: Any = value
    while isinstance(level, (list, tuple)):
        shape.append(len(level))
        level = level[0] if level else None
    flat: list[Any] = []
    _collect(value, flat)
    if int(np.prod(shape)) != len(flat):
        msg = f"input {name!r}: its lists differ in length"
        raise InvalidArgumentError(msg)
    array = np.empty(len(flat), dtype=object)
    array[:] = flat
    return array.reshape(shape)


def _collect(value: Any, flat: list[Any]) -> None:
    if isinstance(value, (list, tuple)):
        for item in value:
            _collect(item, flat)
    else:
        flat.append(value)


def _encode_text(name: str, array: np.ndarray) -> tuple[str, list[int], bytes]:
    parts: list[bytes] = []
    for item in array.reshape(-1):
        if not isinstance(item, (str, bytes)):
            msg = (
                f"input {name!r} holds a {type(item).__name__} beside text; "
                "make numbers a numpy array, so that their dtype is known"
            )
            raise InvalidArgumentError(msg)
        data = item.encode("utf-8") if isinstance(item, str) else item
        parts += (_LENGTH.pack(len(data)), data)
    return BYTES, list(array.shape), b"".join(parts)


def _decode_text(raw: bytes, shape: tuple[int, ...]) -> np.ndarray:
    items: list[bytes] = []
    position = 0
    while position < len(raw):
        (length,) = _LENGTH.unpack_from(raw, position)
        position += _LENGTH.size
        if position + length > len(raw):
            msg = "an element is cut short"
            raise ValueError(msg)
        items.append(raw[position : position + length])
        position += length
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array.reshape(shape)
