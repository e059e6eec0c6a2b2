"""Isolated interpreters inside this Python process.

::

    with InterpreterManager(2) as manager:
        model = manager.load_package("model.pt").load_pickle("model", "model.pkl")
        y = model(x)

Each interpreter has its own GIL, and this process's GIL is free while one works: threads that
call a model run side by side, as many as there are interpreters. What may cross, and how, is in
docs/python.md.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import sys
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchdeploy_pkg import _native, host_values
from torchdeploy_pkg.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    error_from_code,
)
from torchdeploy_pkg.manifest import Manifest
from torchdeploy_pkg.session import (
    Interpreter,
    InterpreterSession,
    Obj,
    check_no_session_of_this_thread,
    end_all_sessions,
)

if TYPE_CHECKING:
    from types import TracebackType
    from typing import BinaryIO


class _Host:
    """Source: class Host in _native.pyi."""

    as_plain = staticmethod(host_values.as_plain)
    adopt = staticmethod(host_values.adopt)

    @staticmethod
    def make_error(code: int, message: str, type_name: str, traceback: str) -> BaseException:
        return error_from_code(code, message, type_name=type_name, traceback=traceback)


class _CallFuture(Future[Any]):
    """The future of a call, which ends when the future is cancelled."""

    cancellation: _native.Cancellation

    def cancel(self) -> bool:
        cancelled = super().cancel()
        if cancelled:
            self.cancellation.cancel()
        return cancelled


class ReplicatedObj:
    """One Python object, present in every interpreter of a manager. Thread-safe.

    Each interpreter makes its replica when it is first needed.
    """

    def __init__(
        self,
        manager: InterpreterManager,
        native: _native.ReplicatedObj,
        timeout_s: float | None = None,
    ) -> None:
        self._manager = manager
        self._native = native
        self._timeout_s = timeout_s

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the object in a free interpreter, and wait for it.

        Callers wait in the order of arrival for the first interpreter that becomes free. The
        wait cannot be interrupted by a signal; :meth:`with_timeout` bounds it.

        Args:
            *args: Positional arguments; tensors share their memory with the interpreter.
            **kwargs: Keyword arguments.

        Returns:
            The result; its tensors are torch's if torch is imported here, else numpy's, and
            belong to the caller.

        Raises:
            ModelError: The object's own exception, with its type and traceback.
            InvalidArgumentError: A value cannot cross; the message names its place.
            FailedPreconditionError: The wait could not end, or numpy has no form for a tensor
                of the result.
            UnavailableError: The manager is closed.
            StatusError: Any other failure, of the class that its code has.
        """
        return self._native.call(args, kwargs, self._timeout_s)

    def call_async(self, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call the object without waiting.

        Returns:
            A future of what ``self(*args, **kwargs)`` returns or raises. Its ``cancel()`` ends
            the call, also one that runs, as :meth:`with_timeout` does. Its callbacks run on the
            interpreter's thread, which waits for them: they must be quick and must not wait for a
            call. Tensors of the result are copied once; those on another device than the CPU
            cannot be.

        Raises:
            InvalidArgumentError: An argument cannot cross; the message names its place.
        """
        future = _CallFuture()
        future.cancellation = self._native.call_into(future, args, kwargs, self._timeout_s)
        return future

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """Await the call. Cancelling the task ends it. Raises as a call does."""
        return await asyncio.wrap_future(self.call_async(*args, **kwargs))

    def with_timeout(self, timeout_s: float) -> ReplicatedObj:
        """The same object, whose calls raise ``DeadlineExceededError`` after `timeout_s` seconds.

        A call that runs by then is interrupted in its interpreter. If it still runs 10 s later, as
        native code may, another interpreter takes the place of the one that it hangs in, and the
        memory of that is lost until the process ends.

        Raises:
            InvalidArgumentError: It is not a positive number.
        """
        if not 0 < timeout_s < threading.TIMEOUT_MAX:
            msg = f"timeout_s is {timeout_s}; expected a positive number of seconds"
            raise InvalidArgumentError(msg)
        return ReplicatedObj(self._manager, self._native, timeout_s)

    def unload(self, slot: int | None = None) -> None:
        """Drop the replica at `slot`, or all, once their interpreters are free.

        The next call makes them again.

        Raises:
            InvalidArgumentError: There is no such slot.
            UnavailableError: The manager is closed.
        """
        self._native.unload(slot)

    def acquire_session(self) -> InterpreterSession:
        """Wait for a free interpreter; ``session.self`` is the replica there."""
        return InterpreterSession(self._manager, self._native.acquire_session())


class Package:
    """An opened archive; its modules do not meet those of other packages. Thread-safe.

    Attributes:
        path: The archive; ``None`` for one in memory.
        manifest: What the packager wrote into it; ``None`` for plain ``torch.package``.
    """

    def __init__(
        self, manager: InterpreterManager, native: _native.Package, path: Path | None
    ) -> None:
        self._manager = manager
        self._native = native
        self.path = path
        json = native.manifest_json
        self.manifest = None if json is None else Manifest.from_json(json)

    def load_pickle(self, package: str = "model", resource: str = "model.pkl") -> ReplicatedObj:
        """The object pickled as (package, resource).

        Nothing is loaded yet: a pickle that is missing is the error of the first call.
        """
        return ReplicatedObj(self._manager, self._native.load_pickle(package, resource))

    def load_entry(self) -> ReplicatedObj:
        """What a server calls: the manifest's entry, else the pickle ("model", "model.pkl")."""
        return ReplicatedObj(self._manager, self._native.load_entry())

    def acquire_session(self) -> InterpreterSession:
        """Wait for a free interpreter; ``session.self`` is the archive's importer there."""
        return InterpreterSession(self._manager, self._native.acquire_session())


class InterpreterManager:
    """A pool of isolated interpreters with the packages of this Python. Thread-safe.

    Takes 2 to 4 seconds for two. Interpreters live as long as the process: when a manager is
    closed and gone, the next one takes them over. Packages and objects keep their manager
    alive. How the process ends, and how long calls are waited for then, is in docs/python.md.

    Args:
        interpreters: Their number; by default one for each core.
        intra_op_threads: Threads of torch's own for each call; by default cores / interpreters.
        pin_cores: Whether each interpreter keeps to cores of its own in ``call_async``, ``acall``
            and calls with a timeout; others run on the caller's thread.
        on_demand: Whether interpreters start when an archive or a session first needs them, which
            then raises what follows. Archives without Python never do.
        cache: Folder for the private libraries, 0.5 GB for each interpreter; by default
            ``$TORCHDEPLOY_CACHE``, else below ``$XDG_CACHE_HOME``.

    Raises:
        InvalidArgumentError: A number is out of range.
        NotFoundError: This Python has no torch or no libpython.
        FailedPreconditionError: libpython is not shared, or torch is not 2.13.
        PermissionDeniedError: The cache folder cannot be written.
        ResourceExhaustedError: The disk is full.
    """

    def __init__(
        self,
        interpreters: int | None = None,
        *,
        intra_op_threads: int | None = None,
        pin_cores: bool = False,
        on_demand: bool = False,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        self._native = _native.InterpreterManager(
            _Host(),
            interpreters=_count("interpreters", interpreters),
            intra_op_threads=_count("intra_op_threads", intra_op_threads),
            pin_cores=pin_cores,
            on_demand=on_demand,
            python=sys.executable,
            cache="" if cache is None else cache,
        )

    def load_package(
        self,
        archive: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO,
        *,
        name: str = "<memory>",
    ) -> Package:
        """Open an archive. None of its code runs before the first call.

        Args:
            archive: Its path; or all its bytes, which are copied once for all interpreters; or
                a file object, which is read from where it stands to its end.
            name: What messages call an archive that is not given by its path.

        Raises:
            NotFoundError: There is no such file.
            DataLossError: It is no torch.package archive, is cut short, or is damaged.
            InvalidArgumentError: Its manifest is not valid, a record lies outside its folder, or
                the argument is not of these.
            ResourceExhaustedError: It has too many records, or there is too little memory for
                an archive that is compressed or in memory.
        """
        if isinstance(archive, str | os.PathLike):
            return Package(self, self._native.load_package(archive), Path(archive))
        return Package(self, self._native.load_bytes(_bytes_of(archive), name), None)

    def acquire_one(self) -> InterpreterSession:
        """Wait, in order of arrival, for the first interpreter that is free.

        Raises:
            FailedPreconditionError: The wait could not end, because of this thread's sessions.
            UnavailableError: The manager is closed.
        """
        return self.acquire_session(None)

    def acquire_session(self, slot: int | None) -> InterpreterSession:
        """As :meth:`acquire_one`, or wait for the interpreter at `slot`.

        Raises:
            InvalidArgumentError: There is no such slot.
        """
        return InterpreterSession(self, self._native.acquire_session(slot))

    def __getitem__(self, slot: int) -> Interpreter:
        """The interpreter at `slot`, which does not begin to work by that."""
        if not 0 <= slot < len(self):
            msg = f"there is no interpreter {slot}; expected 0 to {len(self) - 1}"
            raise IndexError(msg)
        return Interpreter(self, slot)

    def create_movable(self, obj: Obj) -> ReplicatedObj:
        """`obj`, pickled, to be made again in any interpreter; its tensors share their memory.

        Its classes and functions are found in the archive that the session of `obj` was
        acquired for, if any, and among the installed modules.

        Raises:
            ModelError: It cannot be pickled.
            FailedPreconditionError: It is another manager's, or its session has ended or is
                another thread's.
        """
        session = obj._session
        if session._manager is not self:
            msg = "this object lives in an interpreter of another manager"
            raise FailedPreconditionError(msg)
        return ReplicatedObj(self, self._native.create_movable(session._native, obj._native))

    def register_module_source(self, name: str, source: str) -> None:
        """Let ``import name`` run `source` in every interpreter, also in those added later.

        Waits until each is free. It counts where no module of that name was imported before.

        Raises:
            ModelError: A ``SyntaxError``: it does not compile.
        """
        self._native.register_module_source(name, source)

    def resize(self, interpreters: int) -> None:
        """Add interpreters, or take the last ones away; no call is lost.

        Waits until those that are taken away have served who holds or waits for them.

        Raises:
            InvalidArgumentError: It is not 1 to 1024.
            FailedPreconditionError: Taking away, on a thread that holds a session.
        """
        self._native.resize(_count("interpreters", interpreters))

    @property
    def interpreters_replaced(self) -> int:
        """How many interpreters hung in a call that was ended early, and were replaced."""
        return self._native.interpreters_replaced()

    def close(self) -> None:
        """Refuse new calls with ``UnavailableError`` and wait for those that run.

        Raises:
            FailedPreconditionError: In a callback of a future, whose call it would wait for, or
                on a thread that holds a session of the manager.
        """
        check_no_session_of_this_thread(self)
        self._native.close()

    def __len__(self) -> int:
        """Number of interpreters."""
        return len(self._native)

    def __enter__(self) -> InterpreterManager:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()


def _bytes_of(archive: Any) -> memoryview:
    data = archive.read() if hasattr(archive, "read") else archive
    try:
        view = memoryview(data)
    except TypeError as exc:
        msg = f"the archive is a {type(data).__name__}; expected a path, bytes, or a binary file"
        raise InvalidArgumentError(msg) from exc
    if not view.c_contiguous:
        msg = "the archive is a memoryview with gaps; expected one that is contiguous"
        raise InvalidArgumentError(msg)
    return view.cast("B")


def _count(name: str, value: int | None) -> int:
    if value is None:
        return 0
    if value < 1:
        msg = f"{name} is {value}; expected a number from 1 on"
        raise InvalidArgumentError(msg)
    return value


@atexit.register
def _end() -> None:
    """Let no thread of ours ask for the GIL of a Python that is ending."""
    _native.end_calls()
    end_all_sessions()
    _native.end_interpreters()


def _begin_child() -> None:
    atexit.unregister(_end)
    _native.forget_threads()


os.register_at_fork(after_in_child=_begin_child)
