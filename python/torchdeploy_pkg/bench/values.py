"""Inputs of several rows, and whether two answers are the same."""

from __future__ import annotations

from typing import Any

import numpy as np

Values = dict[str, Any]  # By name: numpy arrays, torch tensors (bfloat16), lists of bytes.

_TOLERANCE = 1e-3  # Or four units of the last place, of a dtype that is less precise.
_FLOOR = 1e-6  # Rounding of outputs that are nearly nothing.
_PRECISIONS = {"bfloat16": 2.0**-7, "float16": 2.0**-10}


def rows_of(value: Any, rows: int) -> Any:
    """So many rows, from those that there are, again and again."""
    indices = [index % len(value) for index in range(rows)]
    if isinstance(value, list):
        return [value[index] for index in indices]
    return value[indices]


def portable(value: Any) -> Any:
    """A tensor as numpy has it, so that a process that gets it needs no torch for that."""
    if not hasattr(value, "detach"):
        return value
    tensor = value.detach().cpu().contiguous()
    return tensor if str(tensor.dtype) == "torch.bfloat16" else tensor.numpy()


def difference(expected: Values, found: Values) -> str:
    """What is not as expected; "" for the same answers."""
    if expected.keys() != found.keys():
        return f"it gives {', '.join(found) or 'nothing'}; expected {', '.join(expected)}"
    for name, value in expected.items():
        reason = _difference(value, found[name])
        if reason:
            return f"{name!r} {reason}"
    return ""


def _difference(value: Any, other: Any) -> str:
    expected, found = _array(value), _array(other)
    if expected.shape != found.shape:
        return f"has shape {list(found.shape)}; expected {list(expected.shape)}"
    if expected.dtype.kind in "OSU":
        return "" if np.array_equal(expected, found) else "has other values"
    if expected.dtype != found.dtype:
        return f"is {found.dtype}; expected {expected.dtype}"
    if expected.dtype.kind not in "fc":
        return "" if np.array_equal(expected, found) else "has other values"
    precision = _PRECISIONS.get(str(value.dtype).removeprefix("torch."), 0.0)
    largest = float(np.abs(expected).max(initial=0.0, where=np.isfinite(expected)))
    limit = max(_TOLERANCE, 4 * precision) * largest + _FLOOR
    if np.allclose(expected, found, rtol=0.0, atol=limit, equal_nan=True):
        return ""
    return f"differs by more than {limit:.2g}"


def _array(value: Any) -> np.ndarray:
    """As numpy has it; bfloat16, which it has not, as float32."""
    if hasattr(value, "detach"):
        tensor = value.detach().cpu()
        return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)
    return np.asarray(value)
