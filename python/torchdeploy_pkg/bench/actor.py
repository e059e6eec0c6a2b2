"""An object in a Python process of its own, and calls of its methods.

Each thing that is measured needs a process that has imported nothing else: what it takes of memory
and of time is then its own.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import time
import traceback
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING, Any

from torchdeploy_pkg.errors import DeadlineExceededError, InternalError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

_STOP_TIMEOUT_S = 60.0
_SHOWN_LINES = 8


class ActorError(InternalError):
    """What the object in the other process raised, or that the process ended."""


class Actor:
    """The parent's side of an object that lives in a process of its own.

    Args:
        log: What the process prints goes there.
        make: Makes the object; a class or a function that can be imported.
        arguments: For `make`.
    """

    def __init__(self, log: Path, make: Callable[..., Any], *arguments: Any) -> None:
        self._log = log
        self._connection, other = Pipe()
        with log.open("ab") as output, other:
            self._process = subprocess.Popen(
                [sys.executable, "-m", __name__, str(other.fileno())],
                pass_fds=[other.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # So that what it starts can be ended with it.
            )
        with contextlib.suppress(ActorError):  # That of the first answer, then.
            self.send(make, *arguments)

    def call(self, method: str, *arguments: Any, timeout_s: float) -> Any:
        """Call a method of the object, and wait.

        Raises:
            ActorError: It failed, or the process ended.
            DeadlineExceededError: It took longer than `timeout_s`.
        """
        self.send(method, *arguments)
        return self.receive(timeout_s)

    def send(self, *message: Any) -> None:
        """Begin a call; :meth:`receive` gives its result."""
        try:
            self._connection.send_bytes(pickle.dumps(message))
        except OSError as exc:
            raise self._ended() from exc

    def receive(self, timeout_s: float) -> Any:
        """The result of the call that was begun; the first one is that the object is made."""
        if not self._connection.poll(timeout_s):
            msg = f"no answer within {timeout_s:g} s"
            raise DeadlineExceededError(msg)
        try:
            succeeded, result = pickle.loads(self._connection.recv_bytes())
        except (EOFError, OSError) as exc:
            raise self._ended() from exc
        if not succeeded:
            raise ActorError(result)
        return result

    def stop(self) -> None:
        """End the process and all that it has started.

        The object's ``close()`` is called before, unless the object is in a call for too long.
        """
        stop_all([self])

    def _end(self, until_s: float) -> None:
        try:
            self._process.wait(max(0.0, until_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _ended(self) -> ActorError:
        self._process.wait(_STOP_TIMEOUT_S)
        lines = self._log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:]
        last = "\n".join(lines)
        return ActorError(f"its process ended with status {self._process.returncode}: {last}")


def stop_all(actors: Sequence[Actor]) -> None:
    """End all of them, which have one time together for it."""
    for actor in actors:
        actor._connection.close()
    until_s = time.monotonic() + _STOP_TIMEOUT_S
    with contextlib.ExitStack() as ending:  # All, whatever interrupts it.
        for actor in actors:
            ending.callback(actor._end, until_s)


def _serve(connection: Connection) -> None:
    """The child's side: make the object, then call its methods, until the parent is gone."""
    subject: Any = None
    while True:
        try:
            what, *arguments = pickle.loads(connection.recv_bytes())
        except EOFError:
            break
        try:
            if subject is None:
                subject, result = what(*arguments), None
            else:
                result = getattr(subject, what)(*arguments)
            answer = (True, result)
        except Exception as exc:  # noqa: BLE001 - whatever a user's model raises.
            traceback.print_exc()
            answer = (False, f"{type(exc).__name__}: {exc}")
        connection.send_bytes(pickle.dumps(answer))
    if subject is not None:
        subject.close()


if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
