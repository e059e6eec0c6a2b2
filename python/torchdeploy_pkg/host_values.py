"""Values of torch, numpy and DLPack on their way to an interpreter and back.

Neither torch nor numpy is imported for a value that needs neither of them: what the process
has imported decides what it gets.
"""

from __future__ import annotations

import sys
from typing import Any

from torchdeploy_pkg._native import Device, Dtype, Layout, Tensor
from torchdeploy_pkg.errors import FailedPreconditionError

CAN_CROSS = (
    "None, bool, int, float, complex, str, bytes, torch.Tensor, numpy.ndarray, other tensors "
    "that speak DLPack, torch.device, torch.dtype, torch.layout, list, tuple and dict can"
)

# torch exports these as whole bytes, as which they would mean something else.
_SUBBYTE_DTYPES = {f"torch.{sign}int{bits}" for sign in ("", "u") for bits in range(1, 8)}


def as_plain(value: Any) -> tuple[object, str | None]:
    """A value as a DLPack capsule, a native object, a scalar or a list; or why it has no such form.

    A tensor's memory is shared, unless it is in a form that an interpreter cannot use: a
    read-only numpy array, or one of foreign byte order, negative or odd strides, is copied.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        return _from_torch_tensor(torch, value)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, (numpy.ndarray, numpy.generic)):
        return _from_numpy(numpy, value)
    if torch is not None and isinstance(value, (torch.device, torch.dtype, torch.layout)):
        return _from_torch_name(torch, value), None
    if hasattr(type(value), "__dlpack__"):
        return _from_producer(value)
    return None, CAN_CROSS


def adopt(value: Tensor | Device | Dtype | Layout) -> object:
    """What an interpreter returned, as the caller's own torch or numpy has it.

    Raises:
        FailedPreconditionError: torch is not imported, and numpy has no such dtype or device.
    """
    torch = sys.modules.get("torch")
    if isinstance(value, Tensor):
        if torch is None:
            return _to_numpy(value)
        # A capsule: torch's questions to an object that has one take ten times as long.
        return torch.from_dlpack(value.__dlpack__(max_version=(1, 0)))
    if torch is None:
        return value
    return torch.device(value.name) if isinstance(value, Device) else getattr(torch, value.name)


def _from_torch_tensor(torch: Any, tensor: Any) -> tuple[object, str | None]:
    reason = _why_not_plain(torch, tensor)
    if reason is not None:
        return None, f"it is {reason}; a strided, dense tensor with memory can"
    # DLPack has neither requires_grad nor the conjugate and negative bits.
    plain = tensor.detach() if tensor.requires_grad else tensor
    plain = plain.resolve_conj().resolve_neg()
    if plain.device.type != "cpu":
        return _from_producer(plain)
    try:
        # As __dlpack__ does it, less its questions about streams, which take as long as a call.
        return torch.utils.dlpack.to_dlpack(plain), None
    except (BufferError, RuntimeError) as exc:
        return None, f"its own library does not export it: {exc}"


def _why_not_plain(torch: Any, tensor: Any) -> str | None:
    if tensor.is_nested:
        return "a nested tensor"
    if tensor.layout is not torch.strided:
        return f"a tensor of layout {tensor.layout}"
    if type(tensor).__torch_dispatch__ is not torch.Tensor.__torch_dispatch__:
        return "a tensor subclass without plain memory of its own"
    if tensor.is_meta:
        return "a tensor on the meta device"
    if tensor._is_zerotensor():
        return "a tensor without memory"
    if str(tensor.dtype) in _SUBBYTE_DTYPES:
        return f"of dtype {tensor.dtype}, which DLPack does not have"
    return None


def _from_torch_name(torch: Any, value: Any) -> Device | Dtype | Layout:
    if isinstance(value, torch.device):
        return Device(str(value))
    name = str(value).removeprefix("torch.")
    return Dtype(name) if isinstance(value, torch.dtype) else Layout(name)


def _from_numpy(numpy: Any, value: Any) -> tuple[object, str | None]:
    if isinstance(value, numpy.generic):
        item = value.item()
        if isinstance(item, (bool, int, float, complex, str, bytes)):
            return item, None
        return None, f"numpy's dtype {value.dtype} has no Python scalar that can"
    if hasattr(value, "mask"):
        return None, "a masked array would lose its mask"
    if value.dtype.kind in "OSU":
        return value.tolist(), None
    return _from_producer(_usable_array(numpy, value))


def _usable_array(numpy: Any, array: Any) -> Any:
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    odd_strides = array.itemsize > 0 and any(
        step < 0 or step % array.itemsize for step in array.strides
    )
    if odd_strides or not array.flags.writeable:
        return numpy.array(array, order="C", copy=True, subok=False)
    return array


def _from_producer(value: Any) -> tuple[object, str | None]:
    try:
        try:
            return value.__dlpack__(max_version=(1, 0)), None
        except TypeError:  # A producer of before DLPack 1.0 does not know the argument.
            return value.__dlpack__(), None
    except (BufferError, RuntimeError, TypeError, ValueError) as exc:
        return None, f"its own library does not export it: {exc}"


def _to_numpy(tensor: Tensor) -> object:
    import numpy as np

    try:
        return np.from_dlpack(tensor)  # type: ignore[arg-type]  # numpy's stub asks for a capsule
    except (BufferError, RuntimeError) as exc:
        msg = (
            f"a tensor in the result has no numpy form ({exc}): import torch before the call, "
            "or return another dtype"
        )
        raise FailedPreconditionError(msg) from exc
