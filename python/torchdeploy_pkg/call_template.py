"""How a model is called: the tree of arguments, with a Leaf for each named input."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from torchdeploy_pkg import types
from torchdeploy_pkg.errors import InvalidArgumentError, PackagingError
from torchdeploy_pkg.in_archive import entry

if TYPE_CHECKING:
    from collections.abc import Callable

# What the wire carries: a tensor, or bytes in lists nested once for each dimension.
Wire = Any

_SCALAR_KINDS = ("bool", "int", "float", entry.STR, entry.BYTES)


@dataclass(frozen=True, slots=True)
class CallTemplate:
    """The call that an example, or a signature alone, shows.

    Attributes:
        args: Positional arguments, a tree with a Leaf for each named input.
        kwargs: Keyword arguments, likewise.
        kinds: Kind of each input, by name, in order.
        values: The example's value of each input; empty when there was no example.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    kinds: dict[str, str]
    values: dict[str, Wire]

    def is_scalar(self, name: str) -> bool:
        """Whether the input is one number or one text, of fixed shape [1]."""
        return self.kinds[name] in _SCALAR_KINDS


def template_of_example(target: Callable[..., Any], example: Any) -> CallTemplate:
    """The call that `example` shows: a dict by keyword, a tuple by position, else one value.

    Raises:
        InvalidArgumentError: The example holds what no input can be.
    """
    builder = _Builder()
    if isinstance(example, dict):
        kwargs = {str(key): builder.tree(item, str(key)) for key, item in example.items()}
        return CallTemplate((), kwargs, builder.kinds, builder.values)
    positional = example if isinstance(example, tuple) else (example,)
    names = _positional_names(target, len(positional))
    args = tuple(builder.tree(item, name) for name, item in zip(names, positional, strict=True))
    return CallTemplate(args, {}, builder.kinds, builder.values)


def template_of_signature(target: Callable[..., Any]) -> CallTemplate:
    """The call with every parameter that has no default, each of any type and shape.

    Raises:
        PackagingError: The signature names no input.
    """
    parameters = _parameters(target)
    required = [p for p in parameters if p.default is p.empty and p.kind not in _VARIADIC]
    if parameters and not required:
        shown = ", ".join(str(parameter) for parameter in parameters)
        msg = (
            f"the model's signature ({shown}) does not say which inputs a request brings: "
            "pass example_inputs"
        )
        raise PackagingError(msg)
    leaves = {p.name: entry.Leaf(p.name, entry.ANY) for p in required}
    only = [p.name for p in required if p.kind is p.POSITIONAL_ONLY]
    args = tuple(leaves[name] for name in only)
    kwargs = {name: leaf for name, leaf in leaves.items() if name not in only}
    return CallTemplate(args, kwargs, dict.fromkeys(leaves, entry.ANY), {})


def by_name(template: CallTemplate, target: Callable[..., Any]) -> CallTemplate:
    """The same call with all inputs in one dict, which is what a handler is given."""
    names = _positional_names(target, len(template.args))
    inputs = dict(zip(names, template.args, strict=True)) | template.kwargs
    return CallTemplate((inputs,), {}, template.kinds, template.values)


def shape_of(value: Wire) -> tuple[int, ...]:
    """Shape of a tensor or of nested lists of bytes."""
    if isinstance(value, torch.Tensor):
        return tuple(value.shape)
    if isinstance(value, bytes):
        return ()
    return (len(value), *(shape_of(value[0]) if value else ()))


def datatype_of(value: Wire) -> str | None:
    """Open Inference Protocol name; None for a dtype that the protocol does not know."""
    if not isinstance(value, torch.Tensor):
        return types.BYTES
    return types.DATATYPE_OF_TORCH.get(str(value.dtype).removeprefix("torch."))


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _parameters(target: Callable[..., Any]) -> list[inspect.Parameter]:
    function = target.forward if isinstance(target, torch.nn.Module) else target
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError) as exc:
        msg = f"the signature of {type(target).__name__} cannot be read: pass example_inputs"
        raise PackagingError(msg) from exc


def _positional_names(target: Callable[..., Any], count: int) -> list[str]:
    names: list[str] = []
    for parameter in _parameters(target):
        if parameter.kind is parameter.VAR_POSITIONAL:
            rest = count - len(names)
            return [*names, *(f"{parameter.name}_{index}" for index in range(rest))][:count]
        if parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    if len(names) < count:
        msg = f"example_inputs has {count} values, but the model takes {len(names)}: {names}"
        raise InvalidArgumentError(msg)
    return names[:count]


class _Builder:
    """Replaces what varies between requests by leaves, and keeps the example's values."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {}
        self.values: dict[str, Wire] = {}

    def tree(self, value: Any, name: str) -> Any:
        if value is None:
            return None
        if isinstance(value, dict):
            return {key: self.tree(item, f"{name}.{key}") for key, item in value.items()}
        leaf = _kind_and_wire(value, name)
        if leaf is not None:
            return self._add(name, *leaf)
        if type(value) in (list, tuple):
            items = (self.tree(item, f"{name}.{index}") for index, item in enumerate(value))
            return type(value)(items)
        msg = (
            f"example_inputs: {name!r} is a {type(value).__name__}; expected a tensor, a number, "
            "text, None, or a list, tuple or dict of these"
        )
        raise InvalidArgumentError(msg)

    def _add(self, name: str, kind: str, value: Wire) -> entry.Leaf:
        if name in self.kinds:
            msg = f"example_inputs: two values would be named {name!r}"
            raise InvalidArgumentError(msg)
        if datatype_of(value) is None:
            msg = f"example_inputs: {name!r} is {value.dtype}, which no client can send"
            raise InvalidArgumentError(msg)
        self.kinds[name] = kind
        self.values[name] = value.detach().cpu() if isinstance(value, torch.Tensor) else value
        device = str(value.device) if isinstance(value, torch.Tensor) else "cpu"
        return entry.Leaf(name, kind, device)


def _kind_and_wire(value: Any, name: str) -> tuple[str, Wire] | None:
    if isinstance(value, torch.Tensor):
        return entry.TENSOR, value
    if isinstance(value, (bool, int, float)):
        kind = next(kind for kind in (bool, int, float) if isinstance(value, kind))
        return kind.__name__, entry.to_wire(value).reshape(1)
    if isinstance(value, (str, bytes)):
        return (entry.STR if isinstance(value, str) else entry.BYTES), entry.to_wire(value)
    if entry.is_value_list(value) and value:
        return _kind_of_list(value, name), entry.to_wire(value)
    if type(value).__module__ == "numpy" and hasattr(value, "dtype"):
        wire = entry.to_wire(value)
        return (entry.ARRAY, wire) if isinstance(wire, torch.Tensor) else None
    return None


def _kind_of_list(value: Any, name: str) -> str:
    leaf = value
    while isinstance(leaf, list):
        leaf = leaf[0]
    if not isinstance(leaf, (str, bytes)):
        return entry.LIST
    wire = entry.to_wire(value)
    if not _has_shape(wire, shape_of(wire)):
        msg = f"example_inputs: the lists of text in {name!r} differ in length"
        raise InvalidArgumentError(msg)
    return entry.STRINGS if isinstance(leaf, str) else entry.BYTESTRINGS


def _has_shape(value: Wire, shape: tuple[int, ...]) -> bool:
    if not shape:
        return isinstance(value, bytes)
    return (
        isinstance(value, list)
        and len(value) == shape[0]
        and all(_has_shape(item, shape[1:]) for item in value)
    )
