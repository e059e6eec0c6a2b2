"""Plain value types shared by the packager and the client."""

from __future__ import annotations

from dataclasses import dataclass

from torchdeploy_pkg.errors import InvalidArgumentError

# Source: the Open Inference Protocol. Name on the wire, numpy's dtype name, torch's dtype name.
# numpy has no bfloat16; the name is that of the ml_dtypes extension type.
_TABLE = (
    ("BOOL", "bool", "bool"),
    ("UINT8", "uint8", "uint8"),
    ("UINT16", "uint16", "uint16"),
    ("UINT32", "uint32", "uint32"),
    ("UINT64", "uint64", "uint64"),
    ("INT8", "int8", "int8"),
    ("INT16", "int16", "int16"),
    ("INT32", "int32", "int32"),
    ("INT64", "int64", "int64"),
    ("FP16", "float16", "float16"),
    ("BF16", "bfloat16", "bfloat16"),
    ("FP32", "float32", "float32"),
    ("FP64", "float64", "float64"),
)

BYTES = "BYTES"
NUMPY_OF_DATATYPE = {name: numpy for name, numpy, _ in _TABLE}
DATATYPE_OF_NUMPY = {numpy: name for name, numpy, _ in _TABLE}
TORCH_OF_DATATYPE = {name: torch for name, _, torch in _TABLE}
DATATYPE_OF_TORCH = {torch: name for name, _, torch in _TABLE}
DATATYPES = (*NUMPY_OF_DATATYPE, BYTES)


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, element type and shape of one model input or output.

    Attributes:
        name: Name on the wire; not empty.
        datatype: Open Inference Protocol name, such as ``"FP32"``; ``""`` when any is accepted.
        shape: Extents in elements, ``-1`` for an extent that is free at run time; ``None``
            when any shape is accepted.

    Raises:
        InvalidArgumentError: A field breaks these rules.
    """

    name: str
    datatype: str
    shape: tuple[int, ...] | None

    def __post_init__(self) -> None:
        if not self.name:
            msg = "a tensor's name is empty"
            raise InvalidArgumentError(msg)
        if self.datatype not in ("", *DATATYPES):
            msg = f"datatype of {self.name!r} is {self.datatype!r}; expected one of {DATATYPES}"
            raise InvalidArgumentError(msg)
        if self.shape is not None and any(extent < -1 for extent in self.shape):
            msg = f"shape of {self.name!r} has an extent below -1: {self.shape}"
            raise InvalidArgumentError(msg)

    def __str__(self) -> str:
        shape = "any shape" if self.shape is None else str(list(self.shape))
        return f"{self.name}: {self.datatype or 'any type'} {shape}"
