"""Sessions: one interpreter of a manager for oneself, and the Python objects in it."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

from torchdeploy_pkg.errors import FailedPreconditionError, InvalidArgumentError, ModelError

if TYPE_CHECKING:
    from types import TracebackType

    from torchdeploy_pkg import _native
    from torchdeploy_pkg.runtime import InterpreterManager, ReplicatedObj


class Obj:
    """A Python object inside an interpreter, used within the session that gave it.

    Calling it, and reading an attribute that does not begin with an underscore, gives another
    Obj; :meth:`deref` gives the value.
    """

    def __init__(self, session: InterpreterSession, native: _native.Obj) -> None:
        self._session = session
        self._native = native

    def __call__(self, *args: Any, **kwargs: Any) -> Obj:
        """Call the object inside the interpreter.

        Args:
            *args: Values that can cross, or objects of this interpreter.
            **kwargs: Values that can cross.

        Raises:
            ModelError: The object's own exception, with its type and traceback.
            InvalidArgumentError: A value cannot cross; the message names its place.
            FailedPreconditionError: The session has ended or is another thread's, or an
                argument is an object of another interpreter.
        """
        if not any(isinstance(arg, Obj) for arg in args):
            return self._made(self._native.call(args, kwargs))
        if kwargs:
            msg = "keyword arguments beside an Obj are not possible; pass all by position"
            raise InvalidArgumentError(msg)
        objects = [arg if isinstance(arg, Obj) else self._session.from_value(arg) for arg in args]
        return self._made(self._native.call_objects([obj._native for obj in objects]))

    def __getattr__(self, name: str) -> Obj:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._made(self._native.attribute(name))
        except ModelError as error:
            if error.type_name == "AttributeError":
                raise AttributeError(error.args[0]) from error
            raise

    def deref(self) -> Any:
        """The object as a value; its tensors share memory with the object.

        Raises:
            InvalidArgumentError: It holds what cannot cross; the message names place and type.
            FailedPreconditionError: The session has ended or is another thread's.
        """
        return self._native.to_value()

    def _made(self, native: _native.Obj) -> Obj:
        return Obj(self._session, native)


class InterpreterSession:
    """The right to use one interpreter on this thread, until :meth:`end` or the end of ``with``.

    Sessions nest, also for the same interpreter. A thread's own sessions never wait for each
    other: what could not end is a ``FailedPreconditionError``.
    """

    def __init__(self, manager: InterpreterManager, native: _native.InterpreterSession) -> None:
        self._manager = manager
        self._native = native
        self._thread = threading.get_ident()
        _open_sessions.add(self)

    @property
    def slot(self) -> int:
        """Index of the interpreter in its manager."""
        return self._native.slot

    @property
    def self(self) -> Obj:
        """What the session was opened for: the replica, or the package's importer.

        It is empty for a session that was acquired from a manager: every use of it fails.
        """
        return Obj(self, self._native.self())

    def global_(self, module: str, name: str) -> Obj:
        """``from module import name``.

        Raises:
            ModelError: The import's own exception.
            FailedPreconditionError: The session has ended or is another thread's.
        """
        return Obj(self, self._native.global_(module, name))

    def from_value(self, value: Any) -> Obj:
        """The value as an object of the interpreter; tensors share their memory.

        Raises:
            InvalidArgumentError: It cannot cross; the message names the place.
            FailedPreconditionError: The session has ended or is another thread's.
        """
        return Obj(self, self._native.from_value(value))

    def from_movable(self, movable: ReplicatedObj) -> Obj:
        """What this interpreter has of `movable`, the same object each time.

        Raises:
            ModelError: It cannot be made here; the exception is the one that it raised.
            FailedPreconditionError: It is another manager's, or the session has ended or is
                another thread's.
        """
        return Obj(self, self._native.from_movable(movable._native))

    def end(self) -> None:
        """Let the interpreter go; what the session gave cannot be used any more.

        A session that is dropped ends as well, on any thread.

        Raises:
            FailedPreconditionError: On another thread than the one that acquired it.
        """
        if threading.get_ident() != self._thread:
            msg = "a session is ended by the thread that acquired it"
            raise FailedPreconditionError(msg)
        self._end()

    def _end(self) -> None:
        _open_sessions.discard(self)
        self._native.end()

    def __enter__(self) -> InterpreterSession:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.end()


class Interpreter:
    """One interpreter of a manager."""

    def __init__(self, manager: InterpreterManager, slot: int) -> None:
        self._manager = manager
        self.slot = slot

    def acquire_session(self) -> InterpreterSession:
        """Wait, in order of arrival, for this very interpreter. Raises as ``acquire_one``."""
        return self._manager.acquire_session(self.slot)


def check_no_session_of_this_thread(manager: InterpreterManager) -> None:
    """Raise where closing the manager would wait for this thread's own session."""
    me = threading.get_ident()
    if any(s._manager is manager and s._thread == me for s in list(_open_sessions)):
        msg = "close() would wait for this thread's own session: end it first"
        raise FailedPreconditionError(msg)


def end_all_sessions() -> None:
    """End what is still open at the end of the process, when no other thread is in a call."""
    for session in list(_open_sessions):
        session._end()


_open_sessions: weakref.WeakSet[InterpreterSession] = weakref.WeakSet()
