"""What a server must answer, written down a second time from docs/protocol.md."""

from __future__ import annotations

import math
import struct
from collections import Counter
from dataclasses import dataclass
from typing import Any

from grpc import StatusCode as Code

INTEGERS = ("UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64")
# Bytes of an element; those of BYTES have lengths of their own.
SIZES = dict.fromkeys(("BOOL", "UINT8", "INT8"), 1)
SIZES |= dict.fromkeys(("UINT16", "INT16", "FP16", "BF16"), 2)
SIZES |= dict.fromkeys(("UINT32", "INT32", "FP32"), 4)
SIZES |= dict.fromkeys(("UINT64", "INT64", "FP64"), 8)
# Where the protocol has the elements of a datatype; FP16 and BF16 travel raw only.
TYPED_FIELDS = {
    "BOOL": "bool_contents",
    "BYTES": "bytes_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
}
# As struct calls them.
PACKED = dict(zip((*INTEGERS, "BOOL", "FP32", "FP64"), "BHIQbhiq?fd", strict=True))
MOST_ELEMENTS = (2**63 - 1) // 8
MOST_SPARE_LISTS = 1 << 20
LONGEST_ID = 64 << 10
MOST_DIMENSIONS = 64


class RefusedError(Exception):
    """The request is not valid."""


@dataclass(frozen=True)
class Spec:
    """A declared input."""

    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Output:
    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes


@dataclass(frozen=True)
class Expected:
    """One of these codes; with OK, these outputs."""

    codes: frozenset[Code]
    outputs: tuple[Output, ...] = ()


@dataclass(frozen=True)
class Tensor:
    """An input that is as it should be."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes


class Oracle:
    """Knows the models ``mirror`` and ``mixed`` of mirror_models.py.

    Args:
        mixed: What the manifest of ``mixed`` declares.
    """

    def __init__(self, mixed: dict[str, Spec]) -> None:
        self._mixed = mixed

    def expect(self, request: Any) -> Expected:
        """The answer to a request."""
        if request.model_name not in ("mirror", "mixed") or request.model_version not in ("", "1"):
            return Expected(frozenset({Code.NOT_FOUND}))
        specs = self._mixed if request.model_name == "mixed" else None
        try:
            may_end = check_parameters(request)
            tensors = read_inputs(request, specs)
            check_output_parameters(request)
        except RefusedError:
            return Expected(frozenset({Code.INVALID_ARGUMENT}))
        code, outputs = mirror(tensors) if specs is None else mixed(tensors)
        if code != Code.UNKNOWN:
            code, outputs = chosen(request, code, outputs)
        codes = {code, Code.DEADLINE_EXCEEDED} if may_end else {code}
        return Expected(frozenset(codes), tuple(outputs))


def check_parameters(request: Any) -> bool:
    """Whether the request may end before it is answered."""
    if len(request.id.encode()) > LONGEST_ID:
        raise RefusedError
    # The models here have no other methods.
    if "method" in request.parameters and not (
        request.parameters["method"].WhichOneof("parameter_choice") == "string_param"
        and request.parameters["method"].string_param == ""
    ):
        raise RefusedError
    numbers = [count_of(request.parameters, name) for name in ("priority", "timeout")]
    return 0 < numbers[1] < 60_000_000


def count_of(parameters: Any, name: str) -> int:
    if name not in parameters:
        return 0
    choice = parameters[name].WhichOneof("parameter_choice")
    if choice not in ("int64_param", "uint64_param") or getattr(parameters[name], choice) < 0:
        raise RefusedError
    return int(getattr(parameters[name], choice))


def check_output_parameters(request: Any) -> None:
    if any("shared_memory_region" in output.parameters for output in request.outputs):
        raise RefusedError  # Nothing is registered.


def read_inputs(request: Any, specs: dict[str, Spec] | None) -> list[Tensor]:
    names = Counter(tensor.name for tensor in request.inputs)
    if any(count > 1 for count in names.values()):
        raise RefusedError
    if specs is not None and set(specs) != set(names):
        raise RefusedError
    if any("shared_memory_region" in tensor.parameters for tensor in request.inputs):
        raise RefusedError
    raw = request.raw_input_contents
    if raw and (len(raw) != len(names) or any(t.HasField("contents") for t in request.inputs)):
        raise RefusedError
    tensors = [
        read_input(tensor, raw[i] if raw else None) for i, tensor in enumerate(request.inputs)
    ]
    if specs is not None and not all(fits(tensor, specs[tensor.name]) for tensor in tensors):
        raise RefusedError
    return tensors


def fits(tensor: Tensor, spec: Spec) -> bool:
    return (
        tensor.datatype == spec.datatype
        and len(tensor.shape) == len(spec.shape)
        and all(want in (-1, extent) for want, extent in zip(spec.shape, tensor.shape, strict=True))
    )


def read_input(tensor: Any, raw: bytes | None) -> Tensor:
    datatype, shape = tensor.datatype, tuple(tensor.shape)
    if datatype not in (*SIZES, "BYTES") or len(shape) > MOST_DIMENSIONS:
        raise RefusedError
    if any(extent < 0 for extent in shape) or math.prod(filter(None, shape)) > MOST_ELEMENTS:
        raise RefusedError
    count = math.prod(shape)
    contents = pack_typed(tensor, count) if raw is None else raw
    if datatype == "BYTES":
        check_strings(contents, shape, count)
    elif len(contents) != count * SIZES[datatype]:
        raise RefusedError
    if datatype == "BOOL" and contents.strip(b"\0\1"):
        raise RefusedError
    return Tensor(tensor.name, datatype, shape, contents)


def pack_typed(tensor: Any, count: int) -> bytes:
    if tensor.datatype not in TYPED_FIELDS:
        raise RefusedError
    elements = getattr(tensor.contents, TYPED_FIELDS[tensor.datatype])
    if len(elements) != count:
        raise RefusedError
    if tensor.datatype == "BYTES":
        return b"".join(struct.pack("<I", len(element)) + element for element in elements)
    try:
        return struct.pack(f"<{count}{PACKED[tensor.datatype]}", *elements)
    except struct.error as exc:  # An integer that does not fit.
        raise RefusedError from exc


def split_strings(raw: bytes) -> list[bytes]:
    strings = []
    while raw:
        if len(raw) < 4 or len(raw) - 4 < struct.unpack_from("<I", raw)[0]:
            raise RefusedError
        (length,) = struct.unpack_from("<I", raw)
        strings.append(raw[4 : 4 + length])
        raw = raw[4 + length :]
    return strings


def check_strings(raw: bytes, shape: tuple[int, ...], count: int) -> None:
    if len(split_strings(raw)) != count:
        raise RefusedError
    until_empty = shape[: shape.index(0) + 1] if 0 in shape else shape
    lists = sum(math.prod(until_empty[:depth]) for depth in range(len(until_empty)))
    if lists > MOST_SPARE_LISTS + 2 * count:
        raise RefusedError


def are_positional(names: list[str]) -> bool:
    return set(names) == {f"INPUT__{i}" for i in range(len(names))} and len(names) <= 1000


def mirror(tensors: list[Tensor]) -> tuple[Code, list[Output]]:
    if any(len(t.shape) == MOST_DIMENSIONS and t.datatype == "BYTES" and t.raw for t in tensors):
        return Code.INVALID_ARGUMENT, []  # Within the dict, these are too many lists.
    positional = are_positional([tensor.name for tensor in tensors])
    if positional:
        tensors = sorted(tensors, key=lambda tensor: int(tensor.name.removeprefix("INPUT__")))
    outputs = []
    for tensor in tensors:
        if tensor.datatype == "BYTES" and 0 in tensor.shape:
            continue  # A list without elements is no output.
        name = tensor.name.replace("IN", "OUT", 1) if positional else tensor.name
        outputs.append(echo(tensor, name or "OUTPUT__0"))
    names = [output.name for output in outputs]
    return (Code.OK if len(set(names)) == len(names) else Code.INTERNAL), outputs


def echo(tensor: Tensor, name: str) -> Output:
    shape = tensor.shape
    if tensor.datatype == "BYTES" and shape == ():
        shape = (1,)
    return Output(name, tensor.datatype, shape, tensor.raw)


def mixed(tensors: list[Tensor]) -> tuple[Code, list[Output]]:
    inputs = {tensor.name: tensor for tensor in tensors}
    try:
        for label in split_strings(inputs["labels"].raw):
            label.decode()
    except UnicodeDecodeError:
        return Code.UNKNOWN, []
    x = inputs["x"]
    floats = bytes(byte ^ (0x80 if i % 4 == 3 else 0) for i, byte in enumerate(x.raw))
    return Code.OK, [
        Output("y", "FP32", x.shape, floats),
        echo(inputs["labels"], "labels"),
        echo(inputs["blobs"], "blobs"),
        Output("scale", "FP64", (), inputs["scale"].raw),
        Output("rows", "INT64", (), struct.pack("<q", x.shape[0])),
    ]


def chosen(request: Any, code: Code, outputs: list[Output]) -> tuple[Code, list[Output]]:
    asked = {output.name for output in request.outputs}
    if not asked <= {output.name for output in outputs}:
        return Code.INVALID_ARGUMENT, []
    return code, [output for output in outputs if not asked or output.name in asked]
