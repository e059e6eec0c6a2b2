"""Requests by hypothesis: such as fit, such as nearly fit, and bytes that are no request."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from request_oracle import PACKED, SIZES, TYPED_FIELDS, Spec
from tritonclient.grpc import service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    Draw = Callable[[st.SearchStrategy[Any]], Any]
    Change = Callable[[Draw, Any], None]

DATATYPES = [*SIZES, "BYTES"]
NAMES = ["x", "y", "labels", "scale", "INPUT__0", "INPUT__1", "INPUT__01", "OUTPUT__0", "self", ""]
EXTENTS = [0, 1, 2, 3, -1, 127, 2**20, 2**20 + 1, 2**31, 2**32, 2**59, 2**60, 2**63 - 1, -(2**63)]
PARAMETERS = [
    *("priority", "timeout", "sequence_id", "sequence_start", "sequence_end", "method", ""),
    *("shared_memory_region", "shared_memory_offset", "shared_memory_byte_size"),
]

small_shapes = st.lists(st.integers(0, 3), max_size=3)
any_text = st.text(max_size=20)
strings = st.binary(max_size=6) | st.text(max_size=6).map(str.encode)


@st.composite
def parameters(draw: Draw) -> Any:
    numbers = st.sampled_from([0, 1, 2, 60_000_000, 2**62, 2**63 - 1])
    value = draw(
        st.sampled_from(
            ["int64_param", "uint64_param", "bool_param", "string_param", "double_param"]
        )
    )
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "int64_param": numbers | st.sampled_from([-1, -(2**63)]),
        "uint64_param": numbers | st.just(2**64 - 1),
        "bool_param": st.booleans(),
        "string_param": any_text,
        "double_param": st.floats(),
    }
    if draw(st.integers(0, 9)) == 0:
        return service_pb2.InferParameter()
    return service_pb2.InferParameter(**{value: draw(kinds[value])})


def raw_elements(draw: Draw, datatype: str, count: int) -> bytes:
    if datatype == "BYTES":
        elements = draw(st.lists(strings, min_size=count, max_size=count))
        return b"".join(struct.pack("<I", len(element)) + element for element in elements)
    if datatype == "BOOL":
        return bytes(draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)))
    size = count * SIZES[datatype]
    return bytes(draw(st.binary(min_size=size, max_size=size)))


def typed_elements(draw: Draw, datatype: str, count: int) -> list[Any]:
    kinds: dict[str, st.SearchStrategy[Any]] = {
        "BOOL": st.booleans(),
        "BYTES": strings,
        "FP32": st.floats(width=32),
        "FP64": st.floats(),
    }
    if datatype not in kinds:
        bits = 8 * SIZES[datatype]
        least = -(2 ** (bits - 1)) if PACKED[datatype].islower() else 0
        kinds[datatype] = st.integers(least, least + 2**bits - 1)
    return list(draw(st.lists(kinds[datatype], min_size=count, max_size=count)))


def add_input(draw: Draw, request: Any, name: str, spec: Spec, *, raw: bool) -> None:
    tensor = request.inputs.add(name=name, datatype=spec.datatype, shape=spec.shape)
    count = math.prod(spec.shape)
    if raw:
        request.raw_input_contents.append(raw_elements(draw, spec.datatype, count))
    elif count > 0:
        field = getattr(tensor.contents, TYPED_FIELDS[spec.datatype])
        field.extend(typed_elements(draw, spec.datatype, count))


@st.composite
def requests_to_mirror(draw: Draw) -> Any:
    request = service_pb2.ModelInferRequest(model_name="mirror")
    raw = draw(st.booleans())
    if draw(st.booleans()):
        count = draw(st.integers(0, 3))
        names = draw(st.permutations([f"INPUT__{i}" for i in range(count)]))
    else:
        names = draw(st.lists(st.sampled_from(NAMES) | any_text, max_size=3, unique=True))
    for name in names:
        datatype = draw(st.sampled_from(DATATYPES if raw else list(TYPED_FIELDS)))
        shape = tuple(draw(small_shapes))
        add_input(draw, request, name, Spec(datatype, shape), raw=raw)
    return request


@st.composite
def requests_to_mixed(draw: Draw, specs: dict[str, Spec]) -> Any:
    request = service_pb2.ModelInferRequest(model_name="mixed")
    raw = draw(st.booleans())
    for name in draw(st.permutations(list(specs))):
        spec = specs[name]
        shape = tuple(draw(st.integers(0, 3)) if extent == -1 else extent for extent in spec.shape)
        add_input(draw, request, name, Spec(spec.datatype, shape), raw=raw)
    return request


def one_of(draw: Draw, items: Any) -> Any:
    """One of the items, or None when there is none."""
    return items[draw(st.integers(0, len(items) - 1))] if items else None


def change_model(draw: Draw, request: Any) -> None:
    request.model_name = draw(st.sampled_from(["mixed", "mirror", "absent", ""]) | any_text)


def change_version(draw: Draw, request: Any) -> None:
    request.model_version = draw(st.sampled_from(["1", "2", "01", "-1"]) | any_text)


def change_id(draw: Draw, request: Any) -> None:
    lengths = st.sampled_from([65536, 65537, 100_000])
    request.id = "i" * draw(lengths) if draw(st.booleans()) else draw(any_text)


def change_name(draw: Draw, request: Any) -> None:
    if tensor := one_of(draw, request.inputs):
        tensor.name = draw(st.sampled_from(NAMES) | any_text)


def change_datatype(draw: Draw, request: Any) -> None:
    if tensor := one_of(draw, request.inputs):
        tensor.datatype = draw(st.sampled_from([*DATATYPES, "", "fp32", "FP8", "BYTE"]) | any_text)


def change_extent(draw: Draw, request: Any) -> None:
    if (tensor := one_of(draw, request.inputs)) and tensor.shape:
        tensor.shape[draw(st.integers(0, len(tensor.shape) - 1))] = draw(
            st.sampled_from(EXTENTS) | st.integers(-(2**63), 2**63 - 1)
        )


def change_rank(draw: Draw, request: Any) -> None:
    if tensor := one_of(draw, request.inputs):
        more = draw(st.sampled_from([1, 1, 2, 60, 64, 65, 1000]))
        tensor.shape.extend([draw(st.sampled_from([1, 1, 0, 2, 2**20]))] * more)


def drop_extent(draw: Draw, request: Any) -> None:
    if (tensor := one_of(draw, request.inputs)) and tensor.shape:
        del tensor.shape[draw(st.integers(0, len(tensor.shape) - 1))]


def change_raw(draw: Draw, request: Any) -> None:
    raw = request.raw_input_contents
    if not raw:
        return
    at = draw(st.integers(0, len(raw) - 1))
    data = bytearray(raw[at])
    start = draw(st.integers(0, len(data)))
    replaced = draw(st.integers(0, 8))
    lengths = st.sampled_from([0, 1, 2**31 - 1, 2**31, 2**32 - 5, 2**32 - 1]).map(
        lambda length: struct.pack("<I", length)
    )
    data[start : start + replaced] = draw(lengths | st.binary(max_size=8))
    raw[at] = bytes(data)


def add_or_drop_raw(draw: Draw, request: Any) -> None:
    raw = request.raw_input_contents
    if raw and draw(st.booleans()):
        del raw[-1]
    else:
        raw.append(draw(st.binary(max_size=8)))


def change_typed(draw: Draw, request: Any) -> None:
    if tensor := one_of(draw, request.inputs):
        contents = tensor.contents
        contents.SetInParent()
        fields: dict[str, st.SearchStrategy[Any]] = {
            "bool_contents": st.booleans(),
            "int_contents": st.integers(-(2**31), 2**31 - 1),
            "int64_contents": st.integers(-(2**63), 2**63 - 1),
            "uint_contents": st.integers(0, 2**32 - 1),
            "uint64_contents": st.integers(0, 2**64 - 1),
            "fp32_contents": st.floats(width=32),
            "fp64_contents": st.floats(),
            "bytes_contents": strings,
        }
        fitting = TYPED_FIELDS.get(tensor.datatype, "fp32_contents")
        name = draw(st.just(fitting) | st.sampled_from(list(fields)))
        field = getattr(contents, name)
        if len(field) and draw(st.booleans()):
            del field[-1]
        if draw(st.booleans()):
            field.append(draw(fields[name]))


def drop_contents(draw: Draw, request: Any) -> None:
    if tensor := one_of(draw, request.inputs):
        tensor.ClearField("contents")


def repeat_input(draw: Draw, request: Any) -> None:
    if tensor := one_of(draw, request.inputs):
        request.inputs.add().CopyFrom(tensor)


def drop_input(draw: Draw, request: Any) -> None:
    if request.inputs:
        del request.inputs[draw(st.integers(0, len(request.inputs) - 1))]


def add_parameter(draw: Draw, request: Any) -> None:
    places = [request, *request.inputs, *request.outputs]
    name = draw(st.sampled_from(PARAMETERS) | any_text)
    one_of(draw, places).parameters[name].CopyFrom(draw(parameters()))


def add_output(draw: Draw, request: Any) -> None:
    names = ["y", "labels", "rows", *(f"OUTPUT__{i}" for i in range(3)), "absent", ""]
    names += [tensor.name for tensor in request.inputs]
    request.outputs.add(name=draw(st.sampled_from(names) | any_text))


CHANGES: list[Change] = [
    *(change_model, change_version, change_id, change_name, change_datatype, change_extent),
    *(change_rank, drop_extent, change_raw, change_raw, add_or_drop_raw, change_typed),
    *(drop_contents, repeat_input, drop_input, add_parameter, add_parameter, add_output),
    add_output,
]


@st.composite
def requests(draw: Draw, specs: dict[str, Spec]) -> Any:
    """Requests to ``mirror`` and ``mixed``, changed so that they may not fit."""
    request = draw(requests_to_mirror() | requests_to_mixed(specs))
    for change in draw(st.lists(st.sampled_from(CHANGES), max_size=3)):
        change(draw, request)
    return request


@st.composite
def messages(draw: Draw, specs: dict[str, Spec]) -> bytes:
    """Bytes that are no request, or another one than they were."""
    data = bytearray(draw(requests(specs)).SerializeToString()[:4096])
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(data)))
        data[start : start + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(data) if draw(st.integers(0, 3)) else draw(st.binary(max_size=200))
