"""The entry of an archive: named inputs in, the model's call, named outputs out.

Source: docs/manifest.md, "The entry".
"""

import collections.abc
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import torch

# How a named input becomes the argument that the example showed.
TENSOR = "tensor"
ARRAY = "array"
STR = "str"
BYTES = "bytes"
STRINGS = "strings"
BYTESTRINGS = "bytestrings"
LIST = "list"
ANY = "any"
_SCALARS: dict[str, Callable[[Any], Any]] = {"bool": bool, "int": int, "float": float}


class Leaf:
    """The place of one named input in the arguments of the call."""

    def __init__(self, name: str, kind: str, device: str = "cpu") -> None:
        self.name = name
        self.kind = kind
        self.device = device

    def decode(self, value: Any) -> Any:
        """The argument for a value as it came over the wire."""
        if self.kind in _SCALARS:
            return _SCALARS[self.kind](self._only(value.reshape(-1)).item())
        if self.kind == ARRAY:
            return value.numpy()
        if self.kind == LIST:
            return value.tolist()
        if self.device != "cpu":
            return value.to(self.device)
        if self.kind == STR:
            return self._only(value).decode("utf-8")
        if self.kind == BYTES:
            return self._only(value)
        if self.kind == STRINGS:
            return decode_strings(value)
        return value

    def _only(self, value: Any) -> Any:
        if len(value) != 1:
            msg = f"input {self.name!r} is one {self.kind}, but {len(value)} came"
            raise ValueError(msg)
        return value[0]


def decode_strings(value: Any) -> Any:
    """UTF-8 bytes, in lists nested to any depth, as text."""
    return (
        value.decode("utf-8")
        if isinstance(value, bytes)
        else [decode_strings(item) for item in value]
    )


def names_of_tensors(args: tuple[Any, ...]) -> "tuple[str, ...] | None":
    """The inputs' names in order, if each argument is an input as it comes over the wire.

    That is so of most models, and seen once instead of in every call.
    """
    names = tuple(
        arg.name
        for arg in args
        if isinstance(arg, Leaf) and arg.kind == TENSOR and arg.device == "cpu"
    )
    return names if len(names) == len(args) else None


def leaves(template: Any) -> "Iterator[Leaf]":
    """Each Leaf of a tree of lists, tuples and dicts."""
    if isinstance(template, Leaf):
        yield template
    elif isinstance(template, dict):
        for item in template.values():
            yield from leaves(item)
    elif isinstance(template, (list, tuple)):
        for item in template:
            yield from leaves(item)


def fill(template: Any, inputs: dict[str, Any]) -> Any:
    """A copy of a tree of lists, tuples and dicts, each Leaf replaced by its input."""
    if isinstance(template, Leaf):
        return template.decode(inputs[template.name])
    if isinstance(template, dict):
        return {key: fill(item, inputs) for key, item in template.items()}
    if isinstance(template, (list, tuple)):
        return type(template)(fill(item, inputs) for item in template)
    return template


def flatten(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Name and value of each part of a result; what is None is left out.

    A result that is not a container is named "output"; items of a tuple or a list
    "output_0" and so on; nested names are joined by ".". A list of numbers or of strings
    is one value.
    """
    if value is None:
        return
    is_whole = isinstance(value, torch.Tensor) or is_value_list(value)
    parts = None if is_whole else _parts(value, name)
    if parts is None:
        yield name or "output", value
        return
    for part, item in parts:
        yield from flatten(item, f"{name}.{part}" if name else part)


def _parts(value: Any, name: str) -> "list[tuple[str, Any]] | None":
    if isinstance(value, collections.abc.Mapping):
        return [(str(key), item) for key, item in value.items()]
    fields = getattr(value, "_fields", None)
    if isinstance(value, tuple) and fields is not None:
        return list(zip(fields, value, strict=True))
    if isinstance(value, (list, tuple)):
        return [(str(i) if name else f"output_{i}", item) for i, item in enumerate(value)]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [(field.name, getattr(value, field.name)) for field in dataclasses.fields(value)]
    return None


def is_value_list(value: Any) -> bool:
    """Whether this is a list, nested to any depth, of numbers alone or of text alone."""
    if not isinstance(value, list):
        return False
    kinds = {_kind_of_item(item) for item in value}
    return kinds <= {"number"} or kinds == {"text"}


def _kind_of_item(item: Any) -> str:
    if isinstance(item, (str, bytes)):
        return "text"
    if isinstance(item, (bool, int, float)):
        return "number"
    if is_value_list(item) and item:
        return _kind_of_item(item[0])
    return "other"


def to_wire(value: Any, datatype: str = "") -> Any:
    """A part of a result as a tensor or as lists of bytes; None when it is neither.

    A list without elements is of the declared datatype, if any.
    """
    if isinstance(value, torch.Tensor):
        return value if value.is_cpu else value.cpu()
    if isinstance(value, (str, bytes)):
        return [_to_bytes(value)]
    if isinstance(value, (bool, int, float)):
        return torch.tensor(value, dtype=torch.float64 if isinstance(value, float) else None)
    if is_value_list(value):
        return _list_to_wire(value, datatype)
    if type(value).__module__ == "numpy" and hasattr(value, "dtype"):
        return _array_to_wire(value)
    return None


def _list_to_wire(value: list[Any], datatype: str) -> Any:
    if not value:
        dtypes = {"BOOL": torch.bool, "INT64": torch.int64}
        dtype = dtypes.get(datatype, torch.float64)
        return [] if datatype == "BYTES" else torch.empty(0, dtype=dtype)
    first: Any = value
    while isinstance(first, list):
        first = first[0]
    if isinstance(first, (str, bytes)):
        return _to_bytes(value)
    tensor = torch.tensor(value)
    return tensor.double() if tensor.is_floating_point() else tensor


def _array_to_wire(value: Any) -> Any:
    if value.dtype.kind in "OSU":
        return _to_bytes(value.reshape(-1).tolist() if value.ndim == 0 else value.tolist())
    # A copy: torch refuses negative strides, and warns of memory that is read-only.
    return (
        torch.from_numpy(value.copy())
        if value.ndim
        else torch.tensor(value.item()).to(torch.from_numpy(value.reshape(1).copy()).dtype)
    )


def _to_bytes(value: Any) -> Any:
    if isinstance(value, list):
        return [_to_bytes(item) for item in value]
    return value.encode("utf-8") if isinstance(value, str) else value


# Before a method's name, the attribute that is its entry.
METHOD_PREFIX = "method_"


class Entry:
    """Calls the target as the example did.

    Attributes:
        target: The model, or a handler around it.
        args: Positional arguments, a tree with a Leaf for each input.
        kwargs: Keyword arguments, likewise.
        outputs: Names and datatypes of the parts of the result that are served; None for all.
        method: The target's method that is called; "" for the target itself.
        inference_mode: Whether calls run in torch's inference mode.
        accelerator: Where the server has put the model; None for a CPU, or where it was packaged.

    The entry of each other method of the target is an attribute of this one, METHOD_PREFIX
    before its name.
    """

    inference_mode = False
    accelerator: "torch.device | None" = None

    def __init__(
        self,
        target: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        outputs: "dict[str, str] | None" = None,
        method: str = "",
    ) -> None:
        self.target = target
        self.method = method
        self.args = args
        self.kwargs = kwargs
        self.outputs = outputs
        self._tensors = None if kwargs else names_of_tensors(args)

    def configure(
        self,
        *,
        device: "str | None" = None,
        inference_mode: bool = False,
        torch_compile: "dict[str, Any] | None" = None,
    ) -> None:
        """What the server's settings ask of the model, before it is called.

        Args:
            device: Where the model and its inputs are; None for where they were packaged.
            inference_mode: Whether calls run in torch's inference mode.
            torch_compile: Arguments of torch.compile; None for a model as it is.
        """
        self.inference_mode = inference_mode
        if device is not None:
            self._move(device)
        if torch_compile is not None:
            self._module("torch_compile").compile(**torch_compile)

    def _module(self, wish: str) -> torch.nn.Module:
        if not isinstance(self.target, torch.nn.Module):
            msg = f"{wish} takes a torch.nn.Module, and this is a {type(self.target).__name__}"
            raise TypeError(msg)
        return self.target

    def _move(self, device: str) -> None:
        module = self._module("device")
        try:
            place = torch.device(device)
            torch.empty(0, device=place)  # Whether there is one, also for a model without weights.
            module.to(place)
        except (RuntimeError, AssertionError, NotImplementedError) as exc:
            msg = f"device {device!r}: {exc}"
            raise RuntimeError(msg) from exc
        methods = [value for key, value in vars(self).items() if key.startswith(METHOD_PREFIX)]
        for entry in (self, *methods):
            entry._send_inputs_to(place)

    def _send_inputs_to(self, device: torch.device) -> None:
        accelerator = torch.accelerator.current_accelerator()
        if accelerator is not None and accelerator.type == device.type:
            self.accelerator = device
        for leaf in leaves((self.args, self.kwargs)):
            leaf.device = str(device)
        self._tensors = None if self.kwargs else names_of_tensors(self.args)

    def call_target(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Every part of the target's result, by name, as the target gave it."""
        target = getattr(self.target, self.method) if self.method else self.target
        # Not always inference_mode: its tensors cannot be used by a forward that needs gradients.
        # Not no_grad(), which takes more time than set_grad_enabled() and does the same.
        with torch.inference_mode() if self.inference_mode else torch.set_grad_enabled(False):
            if self._tensors is None:
                result = target(*fill(self.args, inputs), **fill(self.kwargs, inputs))
            else:
                result = target(*map(inputs.__getitem__, self._tensors))
        if self.accelerator is not None:
            # What fails there later than its call is to be this call's error, not the next one's.
            torch.accelerator.synchronize(self.accelerator)
        return dict(flatten(result))

    def __call__(self, **inputs: Any) -> dict[str, Any]:
        """The model's outputs, tensors and lists of bytes, by name."""
        return self.served(self.call_target(inputs))

    def served(self, parts: dict[str, Any]) -> dict[str, Any]:
        """What is served of a result, whose parts flatten() gave."""
        if self.outputs is None:
            return self._all(parts)
        return {
            name: self._selected(parts, name, datatype) for name, datatype in self.outputs.items()
        }

    @staticmethod
    def _all(parts: dict[str, Any]) -> dict[str, Any]:
        wire = {name: to_wire(part) for name, part in parts.items()}
        served = {name: value for name, value in wire.items() if value is not None}
        if wire and not served:
            types = ", ".join(f"{name}: {type(part).__name__}" for name, part in parts.items())
            msg = f"the model returned nothing that can be served ({types})"
            raise TypeError(msg)
        return served

    @staticmethod
    def _selected(parts: dict[str, Any], name: str, datatype: str) -> Any:
        if name not in parts:
            msg = f"the model returned no {name!r}, but {', '.join(parts) or 'nothing'}"
            raise KeyError(msg)
        value = to_wire(parts[name], datatype)
        if value is None:
            msg = f"output {name!r} is a {type(parts[name]).__name__}, no tensor or text"
            raise TypeError(msg)
        return value
