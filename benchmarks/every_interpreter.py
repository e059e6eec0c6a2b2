"""Doing the same in all interpreters of a manager, at the same time."""

from __future__ import annotations

import gc
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchdeploy_pkg import InterpreterManager
    from torchdeploy_pkg.session import InterpreterSession, Obj

    # Gives a session and the model in its interpreter.
    Opener = Callable[[int], tuple[InterpreterSession, Obj]]


def open_and_call(
    manager: InterpreterManager, opener: Opener, x: object, before_end: Callable[[], None]
) -> tuple[float, float]:
    """Open a replica in each interpreter and call it there once.

    Args:
        manager: Its interpreters must be free.
        opener: Called with each slot on a thread of its own.
        x: What the model is called with.
        before_end: Called once while all replicas live.

    Returns:
        Seconds until all were there, and until all had answered.
    """
    moments: list[float] = []
    begin = time.perf_counter()

    def note_moment() -> None:
        moments.append(time.perf_counter() - begin)

    def note_last_moment() -> None:
        note_moment()
        before_end()

    at_ready = threading.Barrier(len(manager), note_moment)
    at_answer = threading.Barrier(len(manager), note_last_moment)

    def work(slot: int) -> None:
        try:
            session, model = opener(slot)
            with session:
                at_ready.wait()
                model(session.from_value(x))
                at_answer.wait()
                del model
                session.global_("gc", "collect")()
        except BaseException:
            at_ready.abort()
            at_answer.abort()
            raise

    with ThreadPoolExecutor(len(manager)) as pool:
        list(pool.map(work, range(len(manager))))
    gc.collect()
    ready, answered = moments
    return ready, answered
