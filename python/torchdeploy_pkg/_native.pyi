"""The compiled part of :mod:`torchdeploy_pkg.runtime`, which is its only user."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from os import PathLike
from typing import Any, Protocol

class Host(Protocol):
    """What the native code asks of Python. Each function is looked up once."""

    @property
    def as_plain(self) -> Callable[[Any], tuple[object, str | None]]:
        """Turns any other value into a capsule, scalar, list or native object, or says why not."""

    @property
    def adopt(self) -> Callable[[Tensor | Device | Dtype | Layout], object]:
        """Turns what an interpreter returned into what the caller gets."""

    @property
    def make_error(self) -> Callable[[int, str, str, str], BaseException]:
        """Makes the exception of a status: code, message, type and traceback."""

class Tensor:
    """A tensor that an interpreter returned: a producer of DLPack, and nothing else."""

    def __dlpack__(
        self,
        *,
        stream: object = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> object: ...
    def __dlpack_device__(self) -> tuple[int, int]: ...

class _Named:
    def __init__(self, name: str, /) -> None: ...
    @property
    def name(self) -> str: ...

class Device(_Named):
    """A ``torch.device``, where torch is not imported; the name is as in ``"cuda:0"``."""

class Dtype(_Named):
    """A ``torch.dtype``, where torch is not imported; the name is as in ``"float32"``."""

class Layout(_Named):
    """A ``torch.layout``, where torch is not imported; the name is as in ``"strided"``."""

class Cancellation:
    """A ``torchdeploy::Cancellation``."""

    def cancel(self) -> None: ...

class ReplicatedObj:
    """A ``torchdeploy::ReplicatedObj``."""

    def call(
        self, args: tuple[Any, ...], kwargs: dict[str, Any], timeout_s: float | None, /
    ) -> Any: ...
    def call_into(
        self,
        future: Future[Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        timeout_s: float | None,
        /,
    ) -> Cancellation:
        """Call, and settle the future, which must be pending. What cannot cross is raised."""

    def unload(self, slot: int | None, /) -> None: ...
    def acquire_session(self) -> InterpreterSession: ...

class Obj:
    """A ``torchdeploy::Obj``."""

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any], /) -> Obj: ...
    def call_objects(self, args: Sequence[Obj], /) -> Obj: ...
    def attribute(self, name: str, /) -> Obj: ...
    def to_value(self) -> Any: ...

class InterpreterSession:
    """A ``torchdeploy::InterpreterSession``."""

    @property
    def slot(self) -> int: ...
    def self(self) -> Obj: ...
    def global_(self, module: str, name: str, /) -> Obj: ...
    def from_value(self, value: Any, /) -> Obj: ...
    def from_movable(self, movable: ReplicatedObj, /) -> Obj: ...
    def end(self) -> None:
        """Let the interpreter go; again, nothing. Not while an operation of it runs."""

class Package:
    """A ``torchdeploy::Package``."""

    @property
    def manifest_json(self) -> str | None: ...
    def acquire_session(self) -> InterpreterSession: ...
    def load_pickle(self, package: str, resource: str, /) -> ReplicatedObj: ...
    def load_entry(self) -> ReplicatedObj: ...

class InterpreterManager:
    """A ``torchdeploy::InterpreterManager``, which lives until its packages and objects go."""

    def __init__(
        self,
        host: Host,
        *,
        interpreters: int,
        intra_op_threads: int,
        pin_cores: bool,
        on_demand: bool,
        python: str | PathLike[str],
        cache: str | PathLike[str],
    ) -> None:
        """As ``torchdeploy::Options``: 0 and empty paths ask for the defaults."""

    def __len__(self) -> int: ...
    def load_package(self, path: str | PathLike[str], /) -> Package: ...
    def load_bytes(self, archive: memoryview, name: str, /) -> Package:
        """The view must be contiguous."""

    def acquire_session(self, slot: int | None, /) -> InterpreterSession: ...
    def create_movable(self, session: InterpreterSession, obj: Obj, /) -> ReplicatedObj: ...
    def register_module_source(self, name: str, source: str, /) -> None: ...
    def resize(self, interpreters: int, /) -> None: ...
    def interpreters_replaced(self) -> int: ...
    def close(self) -> None: ...

def forget_threads() -> None:
    """Wait for nobody any more: in a child that was forked, other threads do not exist."""

def end_calls() -> None:
    """Wait for the calls that other threads are in, 10 s at most, and keep those threads out.

    CPython before 3.14 ends a daemon thread that asks for the GIL once Python finalises, by
    unwinding its stack, which aborts the process if native code is on it.
    """

def end_interpreters() -> None:
    """As ``torchdeploy::EndInterpreters()``, then let no future be settled any more."""
