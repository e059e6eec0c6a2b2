"""A limit for whatever may hang: a start, a request, a load generator."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let the block, in the main thread and not within another such block, last so long at most.

    Raises:
        TimeoutError: It would have lasted longer.
    """

    def end(*_: object) -> None:
        msg = f"not done within {seconds:.0f} s"
        raise TimeoutError(msg)

    previous = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
