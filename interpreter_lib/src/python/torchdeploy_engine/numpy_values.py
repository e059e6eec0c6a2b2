"""numpy's arrays and scalars as values that cross the waist."""

from __future__ import annotations

import sys
from typing import Any

import torch

CAN_CROSS = (
    "None, bool, int, float, complex, str, bytes, torch.Tensor, numpy.ndarray, torch.device, "
    "torch.dtype, torch.layout, list, tuple and dict can"
)


def as_plain(value: object) -> tuple[object, str | None]:
    """Return `value` as a tensor, Python scalar or nested list, or why that is not possible.

    numpy is not imported: without it there is no value of its types.
    """
    numpy = sys.modules.get("numpy")
    if numpy is None or not isinstance(value, numpy.ndarray | numpy.generic):
        return None, CAN_CROSS
    if isinstance(value, numpy.ndarray):
        return _array(numpy, value)
    item = value.item()
    if isinstance(item, bool | int | float | complex | str | bytes):
        return item, None
    return None, f"of numpy's dtypes {value.dtype} has no Python scalar that can"


def _array(numpy: Any, array: Any) -> tuple[object, str | None]:
    if hasattr(array, "mask"):
        return None, "a masked array would lose its mask"
    if array.dtype.kind in "OSU":
        return array.tolist(), None
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    odd_strides = any(step < 0 or step % array.itemsize for step in array.strides)
    if odd_strides or not array.flags.writeable:
        array = numpy.array(array, order="C", copy=True, subok=False)
    try:
        return torch.from_numpy(array), None
    except TypeError:
        return None, f"torch has no dtype for numpy's {array.dtype}"
