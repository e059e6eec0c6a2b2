"""Learns a model's inputs and outputs by running its example, also with other extents."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from torchdeploy_pkg.call_template import CallTemplate, Wire, datatype_of, shape_of
from torchdeploy_pkg.errors import InvalidArgumentError, PackagingError, PackagingWarning
from torchdeploy_pkg.in_archive import entry, streams
from torchdeploy_pkg.types import TensorSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    Axis = tuple[str, int]
    Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Signature:
    """What a model takes and gives; if it yields, what each item is like."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch_dimension: int | None
    yields: bool = False


def learn(
    target: Callable[..., Any],
    template: CallTemplate,
    dynamic: Mapping[str, Sequence[int]] | None,
) -> Signature:
    """Run the example, and run it again with each extent changed to find those that are free.

    An extent is free when the model accepts another one. Extents that are equal in the
    example are first changed together, then one by one. The target itself is left as it was.

    Args:
        target: What the entry calls.
        template: The call, with the example's values.
        dynamic: The free dimensions of each input, if the user named them.

    Raises:
        PackagingError: The example fails, or gives what cannot be served.
        InvalidArgumentError: `dynamic` names what is not there.
    """
    with unharmed(target) as subject:
        result = _FirstItem(subject)
        signature = _Learner(result, template).learn(dynamic)
    return replace(signature, yields=True, batch_dimension=None) if result.yields else signature


@contextlib.contextmanager
def unharmed(target: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """A copy to run; where there can be none, the target, its parameters restored after.

    Random numbers go on as if it had not been run.
    """
    with torch.random.fork_rng(devices=[]):
        try:
            subject = copy.deepcopy(target)
        except Exception:  # noqa: BLE001 - whatever a user's class raises, it has no copy.
            state = {
                name: tensor.detach().clone()
                for name, tensor in getattr(target, "state_dict", dict)().items()
                if isinstance(tensor, torch.Tensor)
            }
            yield target
            if isinstance(target, torch.nn.Module):
                target.load_state_dict(state, strict=False)
        else:
            yield subject


class _FirstItem:
    """What a model returns, or of what it yields the first."""

    def __init__(self, target: Callable[..., Any]) -> None:
        self._target = target
        self.yields = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._target(*args, **kwargs)
        if not streams.is_stream(result):
            return result
        self.yields = True
        with contextlib.closing(streams.Items(result)) as items:
            for item in items:
                return item
        msg = "nothing was yielded"
        raise ValueError(msg)


class _Learner:
    def __init__(self, target: Callable[..., Any], template: CallTemplate) -> None:
        self._template = template
        self._entry = entry.Entry(target, template.args, template.kwargs)
        self._shapes: Shapes = {name: shape_of(v) for name, v in template.values.items()}
        self._free_inputs: set[Axis] = set()

    def learn(self, dynamic: Mapping[str, Sequence[int]] | None) -> Signature:
        base = self._run_example()
        shapes = {name: shape_of(value) for name, value in base.items()}
        self._free_outputs: dict[str, set[int] | None] = {name: set() for name in base}
        batch_dimension = None
        for group in self._groups(dynamic):
            probes = self._probe(group, shapes)
            if not probes and len(group) > 1:
                for axis in group:
                    self._probe([axis], shapes)
            elif probes and all(self._is_batch(group, base, probe) for probe in probes):
                batch_dimension = 0
        if dynamic is not None:
            self._free_inputs = {(name, dim) for name, dims in dynamic.items() for dim in dims}
        return Signature(
            inputs=tuple(self._input_spec(name) for name in self._shapes),
            outputs=tuple(self._output_spec(name, value) for name, value in base.items()),
            batch_dimension=batch_dimension,
        )

    def _run_example(self) -> dict[str, Wire]:
        try:
            parts = self._entry.call_target(cloned(self._template.values))
        except Exception as exc:
            msg = (
                f"the model failed on example_inputs: {type(exc).__name__}: {exc} "
                "(a dict is passed by keyword, a tuple by position, anything else as the "
                "only argument)"
            )
            raise PackagingError(msg) from exc
        return _servable(parts)

    def _groups(self, dynamic: Mapping[str, Sequence[int]] | None) -> list[list[Axis]]:
        """Axes to change together: the batch, then those of equal extent."""
        axes = self._axes(dynamic)
        first = next((self._shapes[name][dim] for name, dim in axes if dim == 0), None)
        batch = [axis for axis in axes if axis[1] == 0 and self._extent(axis) == first]
        others: dict[int, list[Axis]] = defaultdict(list)
        for axis in axes:
            if axis not in batch:
                others[self._extent(axis)].append(axis)
        return [group for group in (batch, *others.values()) if group]

    def _axes(self, dynamic: Mapping[str, Sequence[int]] | None) -> list[Axis]:
        if dynamic is not None:
            return [(name, dim) for name, dims in dynamic.items() for dim in dims]
        return [
            (name, dim)
            for name, shape in self._shapes.items()
            if not self._template.is_scalar(name)
            for dim in range(len(shape))
        ]

    def _extent(self, axis: Axis) -> int:
        return self._shapes[axis[0]][axis[1]]

    def _probe(self, group: list[Axis], base: Shapes) -> list[dict[str, Wire]]:
        """Outputs with one more along these axes, and with twice as many, where accepted.

        Both, because an output that is rounded down, as a strided convolution's, may be
        changed by the second alone.
        """
        accepted = []
        for more in dict.fromkeys((1, max(self._extent(group[0]), 1))):
            outputs = self._try(group, more)
            if outputs is not None:
                self._free_inputs.update(group)
                self._note_outputs(base, {name: shape_of(v) for name, v in outputs.items()})
                accepted.append(outputs)
        return accepted

    def _try(self, group: list[Axis], more: int) -> dict[str, Wire] | None:
        values = cloned(self._template.values)
        for name, dim in group:
            values[name] = extended(values[name], dim, more)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                parts = self._entry.call_target(values)
        except Exception:  # noqa: BLE001 - however the model refuses, the extent is fixed.
            return None
        wire = {name: entry.to_wire(part) for name, part in parts.items()}
        return {name: value for name, value in wire.items() if value is not None}

    def _note_outputs(self, base: Shapes, seen: Shapes) -> None:
        for name, shape in base.items():
            other = seen.get(name)
            free = self._free_outputs[name]
            if other is None or free is None:
                continue
            if len(other) != len(shape):
                self._free_outputs[name] = None
                continue
            free.update(d for d, (a, b) in enumerate(zip(shape, other, strict=True)) if a != b)

    def _is_batch(self, group: list[Axis], base: dict[str, Wire], probe: dict[str, Wire]) -> bool:
        """Whether rows are independent: each gives alone what it gives beside another."""
        extent = self._extent(group[0])
        names = {name for name, dim in group if dim == 0}
        if extent == 0 or names != set(self._shapes) or not base:
            return False
        return all(
            name in probe and _is_row_wise(value, probe[name], extent)
            for name, value in base.items()
        )

    def _input_spec(self, name: str) -> TensorSpec:
        value = self._template.values[name]
        shape = [
            -1 if (name, dim) in self._free_inputs else extent
            for dim, extent in enumerate(self._shapes[name])
        ]
        return TensorSpec(name, datatype_of(value) or "", tuple(shape))

    def _output_spec(self, name: str, value: Wire) -> TensorSpec:
        free = self._free_outputs[name]
        datatype = datatype_of(value) or ""
        if free is None:
            return TensorSpec(name, datatype, None)
        shape = [-1 if dim in free else extent for dim, extent in enumerate(shape_of(value))]
        return TensorSpec(name, datatype, tuple(shape))


def check_dynamic(dynamic: Mapping[str, Sequence[int]], values: Mapping[str, Wire]) -> None:
    """Raise InvalidArgumentError for a name or a dimension that no input has."""
    for name, dims in dynamic.items():
        if name not in values:
            msg = f"dynamic names {name!r}; the inputs are {', '.join(values)}"
            raise InvalidArgumentError(msg)
        shape = shape_of(values[name])
        for dim in dims:
            if not 0 <= dim < len(shape):
                msg = f"dynamic[{name!r}] names dimension {dim}; its shape is {list(shape)}"
                raise InvalidArgumentError(msg)


def _servable(parts: dict[str, Any]) -> dict[str, Wire]:
    """The parts of a result that are served; warns of the others."""
    wire = {name: entry.to_wire(part) for name, part in parts.items()}
    served = {name: value for name, value in wire.items() if value is not None and value != []}
    left_out = [f"{name} ({type(parts[name]).__name__})" for name in parts if name not in served]
    if not served:
        found = ", ".join(left_out) or "nothing"
        msg = f"the model returned nothing that can be served, but {found}"
        raise PackagingError(msg)
    for name, value in served.items():
        if isinstance(value, torch.Tensor):
            _check_tensor(name, value)
    if left_out:
        listed = ", ".join(left_out)
        msg = f"these outputs are no tensors, numbers or text and are not served: {listed}"
        warnings.warn(msg, PackagingWarning, stacklevel=2)
    return served


def _check_tensor(name: str, value: torch.Tensor) -> None:
    if value.is_complex():
        advice = f"{value.dtype}; return torch.view_as_real(...) of it"
    elif value.layout is not torch.strided:
        advice = f"of layout {value.layout}; return its .to_dense()"
    elif value.is_quantized:
        advice = f"quantized ({value.dtype}); return its .dequantize() or .int_repr()"
    elif datatype_of(value) is None:
        advice = f"{value.dtype}; return it as one of {', '.join(_SERVED_DTYPES)}"
    else:
        return
    msg = f"output {name!r} is {advice}"
    raise PackagingError(msg)


_SERVED_DTYPES = ("torch.float32", "torch.bfloat16", "torch.uint8")


def cloned(values: dict[str, Wire]) -> dict[str, Wire]:
    """Copies, since a model may write to its inputs."""
    return {
        name: value.clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value)
        for name, value in values.items()
    }


def extended(value: Wire, dim: int, more: int) -> Wire:
    """The value with its last slice repeated, so that indices and masks stay valid."""
    if not isinstance(value, torch.Tensor):
        if dim == 0:
            return [*value, *(copy.deepcopy(value[-1:]) * more)]
        return [extended(item, dim - 1, more) for item in value]
    extent = value.shape[dim]
    if extent == 0:
        shape = list(value.shape)
        shape[dim] = more
        return value.new_zeros(shape)
    last = value.narrow(dim, extent - 1, 1)
    return torch.cat([value, *[last] * more], dim)


def _is_row_wise(base: Wire, probe: Wire, extent: int) -> bool:
    before, after = shape_of(base), shape_of(probe)
    if not before or not after or before[0] != extent or after[0] <= extent:
        return False
    if not isinstance(base, torch.Tensor):
        return bool(probe[:extent] == base and probe[-1] == base[-1])
    if before[1:] != after[1:]:
        return False
    expected = torch.cat([base, *[base[-1:]] * (after[0] - extent)]).double()
    # Kernels differ in the last bits between batch sizes; rows that depend on each other
    # differ in the first.
    tolerance = 1e-2 if base.dtype in (torch.float16, torch.bfloat16) else 1e-4
    return torch.allclose(probe.double(), expected, rtol=tolerance, atol=tolerance, equal_nan=True)
