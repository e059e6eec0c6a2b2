"""Inputs of several rows, and whether two answers are the same."""

from __future__ import annotations

from typing import Any

import numpy as np

Values = dict[str, Any]  # By name: numpy arrays, torch tensors (bfloat16), lists of bytes.

TOLERANCE = 1e-3  # Absolute, and relative to the largest value of an output.


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
        one, other = _array(value), _array(found[name])
        if one.shape != other.shape:
            return f"{name!r} has shape {list(other.shape)}; expected {list(one.shape)}"
        if one.dtype.kind in "fc" and other.dtype.kind in "fc":
            largest = np.abs(one).max(initial=0.0, where=np.isfinite(one))
            limit = TOLERANCE * max(1.0, float(largest))
            if not np.allclose(one, other, rtol=0.0, atol=limit, equal_nan=True):
                return f"{name!r} differs by more than {limit:.1g}"
        elif not np.array_equal(one, other):
            return f"{name!r} has other values"
    return ""


def _array(value: Any) -> np.ndarray:
    if hasattr(value, "detach"):
        tensor = value.detach().cpu()
        return np.asarray(tensor.float() if str(tensor.dtype) == "torch.bfloat16" else tensor)
    return np.asarray(value)
