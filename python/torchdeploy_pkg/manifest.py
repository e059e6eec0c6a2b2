"""The manifest of an archive. Source: docs/manifest.md is the format."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from torchdeploy_pkg.errors import InvalidArgumentError
from torchdeploy_pkg.types import TensorSpec

FORMAT = 1
PACKAGE = "torchdeploy"
MANIFEST_RESOURCE = "manifest.json"
ENTRY_RESOURCE = "entry.pkl"
EXAMPLE_RESOURCE = "example.pkl"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_KIND_OF_TYPE = {str: "a string", int: "an integer", list: "a list", dict: "an object"}


@dataclass(frozen=True, slots=True)
class PickleName:
    """Where a pickled object stands in an archive."""

    package: str
    resource: str


@dataclass(frozen=True, slots=True)
class Method:
    """What a method of the model takes and gives, in order."""

    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an archive says of its model before any of its code is run.

    Attributes:
        name: Name under which the model is served.
        version: Its version.
        inputs: What a request must bring, in order.
        outputs: What an answer holds, in order; empty when it is not known.
        batch_dimension: A dimension that all inputs and outputs share and along which
            requests may be joined; ``None`` when they may not.
        python: Version of Python that the archive was made with; ``""`` for unknown.
        torch: Version of torch that the archive was made with; ``""`` for unknown.
        distributions: Installed distributions that the archive needs, with their versions.
        entry: Where the pickle stands that a server calls.
        yields: Whether the entry yields its answers; see docs/manifest.md.
        example: Where inputs stand, by name, that it takes; ``None`` when the archive has none.
        methods: By name, those that a request may ask for instead.

    Raises:
        InvalidArgumentError: A field breaks a rule of docs/manifest.md.
    """

    name: str
    version: str = "1"
    inputs: tuple[TensorSpec, ...] = ()
    outputs: tuple[TensorSpec, ...] = ()
    batch_dimension: int | None = None
    python: str = ""
    torch: str = ""
    distributions: dict[str, str] = field(default_factory=dict)
    entry: PickleName = PickleName(PACKAGE, ENTRY_RESOURCE)
    example: PickleName | None = None
    yields: bool = False
    methods: dict[str, Method] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, value in (("name", self.name), ("version", self.version)):
            if not _NAME.fullmatch(value):
                msg = f"{what} is {value!r}; expected letters, digits, '_', '.' and '-'"
                raise InvalidArgumentError(msg)
        for what, specs in (("inputs", self.inputs), ("outputs", self.outputs)):
            _check_unique(what, specs)
        for name, method in self.methods.items():
            _check_method(name, method)
        _check_batch_dimension(self)

    def to_json(self) -> str:
        """The manifest as the archive holds it."""
        document = {
            "format": FORMAT,
            "name": self.name,
            "version": self.version,
            "entry": _document_of_pickle(self.entry),
            "example": None if self.example is None else _document_of_pickle(self.example),
            "inputs": [_document_of_spec(spec) for spec in self.inputs],
            "outputs": [_document_of_spec(spec) for spec in self.outputs],
            "batch_dimension": self.batch_dimension,
            "yields": self.yields,
            "methods": {
                name: {
                    "inputs": [_document_of_spec(spec) for spec in method.inputs],
                    "outputs": [_document_of_spec(spec) for spec in method.outputs],
                }
                for name, method in self.methods.items()
            },
            "python": self.python,
            "torch": self.torch,
            "distributions": dict(sorted(self.distributions.items())),
        }
        return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Read a manifest.

        Raises:
            InvalidArgumentError: The text is not JSON, or breaks a rule; names key and value.
        """
        try:
            document = json.loads(text)
        except ValueError as exc:
            msg = f"the manifest is not JSON: {exc}"
            raise InvalidArgumentError(msg) from exc
        _check_type("the manifest", document, dict)
        number = document.get("format")
        if isinstance(number, bool) or number != FORMAT:
            msg = f"the manifest's format is {number!r}; this version reads format {FORMAT}"
            raise InvalidArgumentError(msg)
        return cls(
            name=_member(document, "name", str),
            version=_member(document, "version", str),
            inputs=_specs(document, "inputs"),
            outputs=_specs(document, "outputs"),
            batch_dimension=_batch_dimension(document),
            yields=_yields(document),
            methods=_methods(document),
            python=_member(document, "python", str),
            torch=_member(document, "torch", str),
            distributions=_distributions(document),
            entry=_pickle_name(document, "entry"),
            example=None if document.get("example") is None else _pickle_name(document, "example"),
        )


def _check_unique(what: str, specs: tuple[TensorSpec, ...]) -> None:
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            msg = f"{what} names {name!r} twice"
            raise InvalidArgumentError(msg)


def _check_method(name: str, method: Method) -> None:
    if not name.isidentifier():
        msg = f"methods has {name!r}; expected the name of a method"
        raise InvalidArgumentError(msg)
    _check_unique(f"methods.{name}.inputs", method.inputs)
    _check_unique(f"methods.{name}.outputs", method.outputs)


def _check_batch_dimension(manifest: Manifest) -> None:
    dimension = manifest.batch_dimension
    if dimension is None:
        return
    if dimension < 0:
        msg = f"batch_dimension is {dimension}; expected a number from 0 on, or null"
        raise InvalidArgumentError(msg)
    for spec in (*manifest.inputs, *manifest.outputs):
        if spec.shape is not None and len(spec.shape) <= dimension:
            msg = f"batch_dimension is {dimension}, but {spec.name!r} has shape {list(spec.shape)}"
            raise InvalidArgumentError(msg)


def _check_type(what: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind) or isinstance(value, bool):
        msg = f"{what} is {value!r}; expected {_KIND_OF_TYPE[kind]}"
        raise InvalidArgumentError(msg)


def _member(document: dict[str, Any], key: str, kind: type, prefix: str = "") -> Any:
    if key not in document:
        msg = f"the manifest has no key {prefix + key!r}"
        raise InvalidArgumentError(msg)
    _check_type(f"{prefix}{key}", document[key], kind)
    return document[key]


def _pickle_name(document: dict[str, Any], key: str) -> PickleName:
    names = _member(document, key, dict)
    return PickleName(
        _member(names, "package", str, f"{key}."), _member(names, "resource", str, f"{key}.")
    )


def _batch_dimension(document: dict[str, Any]) -> int | None:
    if document.get("batch_dimension") is None:
        return None
    dimension: int = _member(document, "batch_dimension", int)
    return dimension


def _yields(document: dict[str, Any]) -> bool:
    yields = document.get("yields", False)
    if not isinstance(yields, bool):
        msg = f"yields is {yields!r}; expected true or false"
        raise InvalidArgumentError(msg)
    return yields


def _methods(document: dict[str, Any]) -> dict[str, Method]:
    methods = document.get("methods", {})
    _check_type("methods", methods, dict)
    for name, method in methods.items():
        _check_type(f"methods.{name}", method, dict)
    return {
        name: Method(
            _specs(method, "inputs", f"methods.{name}."),
            _specs(method, "outputs", f"methods.{name}."),
        )
        for name, method in methods.items()
    }


def _distributions(document: dict[str, Any]) -> dict[str, str]:
    distributions: dict[str, str] = _member(document, "distributions", dict)
    for name, version in distributions.items():
        _check_type(f"distributions[{name!r}]", version, str)
    return distributions


def _specs(document: dict[str, Any], key: str, prefix: str = "") -> tuple[TensorSpec, ...]:
    items = _member(document, key, list, prefix)
    return tuple(_spec(f"{prefix}{key}[{index}]", item) for index, item in enumerate(items))


def _spec(where: str, item: Any) -> TensorSpec:
    _check_type(where, item, dict)
    name: str = _member(item, "name", str, f"{where}.")
    datatype: str = _member(item, "datatype", str, f"{where}.")
    if item.get("shape") is None:
        return TensorSpec(name, datatype, None)
    shape = _member(item, "shape", list, f"{where}.")
    for extent in shape:
        _check_type(f"an extent of {where}.shape", extent, int)
    return TensorSpec(name, datatype, tuple(shape))


def _document_of_pickle(name: PickleName) -> dict[str, str]:
    return {"package": name.package, "resource": name.resource}


def _document_of_spec(spec: TensorSpec) -> dict[str, Any]:
    shape = None if spec.shape is None else list(spec.shape)
    return {"name": spec.name, "datatype": spec.datatype, "shape": shape}
