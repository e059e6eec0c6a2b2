"""Keeps apart archives that define a torch.library operator of the same name differently.

torch has one table of operators for an interpreter: `torch.library.custom_op` silently
replaces an earlier operator of that name, and an archive would then compute with another's
code. Here every definition, kernel and rule is claimed by the archive whose code registers it:

- a claim that differs from another archive's is refused with ALREADY_EXISTS;
- one that equals it is shared: the first registration stays and serves both;
- within one archive, and among installed modules, torch's own rules hold.

Two registrations are equal when the call is, the values that its functions close over are,
and the sources are of the registering module and of all modules of its archive that it
imports. Claims outlive their archive, because torch keeps its operators.

Source: torch/library.py and torch/_library/custom_ops.py of torch 2.13.
"""

from __future__ import annotations

import functools
import sys
import types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch._library.custom_ops import CustomOpDef
from torch.library import Library
from torch.package.package_importer import PackageImporter

from .errors import Code, Refusal
from .package_sources import demangled, package_of, sources_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

# Methods of CustomOpDef that register one function, by the number of arguments before it.
_DECORATORS = {"register_kernel": 1, "register_torch_dispatch": 1, "register_vmap": 0}
_RULES = ("register_fake", "register_autograd", "register_autocast")


@dataclass(frozen=True)
class Owner:
    """Whose code registers: an archive, or an installed module."""

    label: str
    package: str  # torch's number of the open archive; "" for an installed module.
    sources: Hashable


@dataclass(frozen=True)
class Claim:
    """One registration."""

    owner: Owner
    content: Hashable
    result: Any = field(compare=False)  # What torch's function returned.
    keeps: Any = field(compare=False)  # What torch drops the registration with.


class Claims:
    """Who has registered what in this interpreter."""

    def __init__(self) -> None:
        self._claims: dict[tuple[str, str], Claim] = {}
        self._namespaces: dict[str, str] = {}

    def shared(self, operator: str, aspect: str, owner: Owner, content: Hashable) -> Claim | None:
        """Return another archive's equal claim, or None when torch is to register this one.

        Raises:
            Refusal: ALREADY_EXISTS, when another archive's claim differs.
        """
        earlier = self._claims.get((operator, aspect))
        if earlier is None or earlier.owner.package == owner.package:
            return None
        if earlier.content == content and earlier.owner.sources == owner.sources:
            return earlier
        message = (
            f"operator {operator} ({aspect}) of {owner.label} differs from that of "
            f"{earlier.owner.label}, and one interpreter can hold only one of them: "
            f"load the two in different processes or rename the operator"
        )
        raise Refusal(Code.ALREADY_EXISTS, message)

    def record(self, operator: str, aspect: str, claim: Claim) -> None:
        """Remember what torch has registered."""
        self._claims[operator, aspect] = claim

    def kind_of_library(self, namespace: str, kind: str, owner: Owner) -> str:
        """Return the kind with which `owner` can open a torch.library.Library.

        torch allows one "DEF" of a namespace in an interpreter, which is one for each archive.
        """
        if kind != "DEF" or not owner.package:
            return kind
        first = self._namespaces.setdefault(namespace, owner.package)
        return "DEF" if first == owner.package else "FRAGMENT"


def install(claims: Claims) -> None:
    """Make torch ask `claims` before it registers. Once in an interpreter."""
    _claim_custom_operators(claims)
    for name, leading in _DECORATORS.items():
        _claim_decorator(claims, name, leading)
    for name in _RULES:
        _claim_rule(claims, name)
    _claim_libraries(claims)
    _claim_definitions(claims)
    for name in ("impl", "_register_fake"):
        _claim_implementations(claims, name)


def _claim_custom_operators(claims: Claims) -> None:
    initialise = CustomOpDef.__init__

    def content_of(schema: str, fn: Any, tags: Any) -> Hashable:
        return (schema, content(fn), repr(tags))

    # A shared operator is the first archive's object, so that none of the two goes stale.
    def new(
        cls: type[CustomOpDef], namespace: str, name: str, schema: str, fn: Any, tags: Any = None
    ) -> CustomOpDef:
        operator = f"{namespace}::{name}"
        claim = claims.shared(operator, "definition", _caller(), content_of(schema, fn, tags))
        return claim.keeps if claim else object.__new__(cls)

    @functools.wraps(initialise)
    def init(
        self: CustomOpDef, namespace: str, name: str, schema: str, fn: Any, tags: Any = None
    ) -> None:
        if hasattr(self, "_opoverload"):
            return
        initialise(self, namespace, name, schema, fn, tags)
        claim = Claim(_caller(), content_of(schema, fn, tags), None, self)
        claims.record(f"{namespace}::{name}", "definition", claim)

    _replace(CustomOpDef, "__new__", staticmethod(new))
    _replace(CustomOpDef, "__init__", init)


def _claim_decorator(claims: Claims, name: str, leading: int) -> None:
    original = getattr(CustomOpDef, name)

    @functools.wraps(original)
    def register(self: CustomOpDef, *arguments: Any) -> Any:
        before, fn = arguments[:leading], arguments[leading:]
        if not fn or fn[0] is None:
            return lambda function: register(self, *before, function)
        aspect = f"{name}{_text(before)}"
        return _once(claims, (self._qualname, aspect), fn, lambda: original(self, *arguments), self)

    _replace(CustomOpDef, name, register)


def _claim_rule(claims: Claims, name: str) -> None:
    original = getattr(CustomOpDef, name)

    @functools.wraps(original)
    def register(self: CustomOpDef, *arguments: Any, **options: Any) -> Any:
        given = (arguments, tuple(options.items()))
        make = functools.partial(original, self, *arguments, **options)
        return _once(claims, (self._qualname, name), given, make, self)

    _replace(CustomOpDef, name, register)


def _claim_libraries(claims: Claims) -> None:
    initialise: Any = Library.__init__

    @functools.wraps(initialise)
    def init(self: Library, ns: str, kind: str, dispatch_key: str = "") -> None:
        initialise(self, ns, claims.kind_of_library(ns, kind, _caller()), dispatch_key)

    _replace(Library, "__init__", init)


def _claim_definitions(claims: Claims) -> None:
    original = Library.define

    @functools.wraps(original)
    def define(self: Library, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> Any:
        make = functools.partial(original, self, schema, alias_analysis, tags=tags)
        if _is_called_by_custom_op():
            return make()
        operator = f"{self.ns}::{schema.partition('(')[0]}"
        given = ("".join(schema.split()), alias_analysis, repr(tags))
        return _once(claims, (operator, "definition"), given, make, self)

    _replace(Library, "define", define)


def _claim_implementations(claims: Claims, name: str) -> None:
    original = getattr(Library, name)

    @functools.wraps(original)
    def implement(self: Any, op_name: Any, fn: Any, *arguments: Any, **options: Any) -> Any:
        if name == "_register_fake":  # It reads the frame that many levels above its own.
            level = arguments[0] if arguments else options.pop("_stacklevel", 1)
            arguments = (level + 1, *arguments[1:])
        make = functools.partial(original, self, op_name, fn, *arguments, **options)
        if _is_called_by_custom_op():
            return make()
        key = options.get("dispatch_key") or "".join(map(str, arguments[:1])) or self.dispatch_key
        short = self._resolve_op_name(op_name, name).rpartition("::")[2]
        aspect = f"{name} {key}"
        return _once(claims, (f"{self.ns}::{short}", aspect), (fn,), make, self)

    _replace(Library, name, implement)


def _once(
    claims: Claims, key: tuple[str, str], given: Any, register: Callable[[], Any], keeps: Any
) -> Any:
    """Register unless another archive has registered the same."""
    owner, what = _caller(), content(given)
    shared = claims.shared(*key, owner, what)
    if shared:
        return shared.result
    result = register()
    claims.record(*key, Claim(owner, what, result, keeps))
    return result


def _replace(owner: type, name: str, function: Any) -> None:
    setattr(owner, name, function)


def _is_called_by_custom_op() -> bool:
    """Whether torch.library's own code for custom operators, already claimed, calls the caller."""
    return str(sys._getframe(2).f_globals.get("__name__")).startswith("torch._library")


def _caller() -> Owner:
    """Return whose code has called torch.library: the nearest frame that is not plumbing."""
    frame: types.FrameType | None = sys._getframe(1)
    while frame is not None and _is_plumbing(str(frame.f_globals.get("__name__"))):
        frame = frame.f_back
    names = frame.f_globals if frame is not None else {}
    module, importer = str(names.get("__name__")), names.get("__loader__")
    package = package_of(module)
    if package and isinstance(importer, PackageImporter):
        return Owner(importer.filename, package, sources_of(importer, demangled(module)))
    return Owner(f"the installed module {module}", "", module)


def _is_plumbing(module: str) -> bool:
    return (
        module in (__name__, "torch.library")
        or module.startswith("torch._library")
        or module.partition(".")[0] in sys.stdlib_module_names
    )


def content(value: Any) -> Hashable:
    """Return what equals another archive's only if `value` means the same there."""
    if isinstance(value, types.FunctionType):
        cells = tuple(_cell(cell) for cell in value.__closure__ or ())
        defaults = (value.__defaults__, value.__kwdefaults__)
        line = value.__code__.co_firstlineno
        return (demangled(value.__module__), value.__qualname__, line, cells, content(defaults))
    if isinstance(value, list | tuple):
        return (type(value).__name__, *(content(item) for item in value))
    if isinstance(value, dict):
        return tuple((content(key), content(item)) for key, item in value.items())
    return _plain_content(value)


def _plain_content(value: Any) -> Hashable:
    if isinstance(value, types.ModuleType):
        return demangled(value.__name__)
    if isinstance(value, type | types.BuiltinFunctionType):
        return (demangled(str(value.__module__)), value.__qualname__)
    constants = (bool, int, float, complex, str, bytes, types.NoneType)
    if isinstance(value, (*constants, torch.dtype, torch.device, torch.layout)):
        return (type(value).__name__, repr(value))
    return object()  # Unlike anything else: what it holds is not known.


def _cell(cell: Any) -> Hashable:
    try:
        return content(cell.cell_contents)
    except ValueError:
        return "empty"


def _text(values: tuple[Any, ...]) -> str:
    return "".join(f" {value if isinstance(value, str) else content(value)}" for value in values)
