"""What runs in each measured process: a subject, checked, then called by threads for some time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from torchdeploy_pkg.bench.values import difference

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchdeploy_pkg.bench.subjects import Subject
    from torchdeploy_pkg.bench.values import Values


@dataclass(frozen=True, slots=True)
class Turn:
    """What one process did in one turn.

    Attributes:
        latencies_s: Seconds of each call.
        elapsed_s: From the begin of the turn to the end of its last call.
    """

    latencies_s: np.ndarray
    elapsed_s: float


class Worker:
    """A subject in a process of its own."""

    def __init__(self, kind: Callable[[Any], Subject], argument: Any) -> None:
        self._subject = kind(argument)
        self._callers: list[Callable[[], Values]] = []

    def place(self) -> tuple[int, str]:
        """Process that has the model in its memory, and URL of the server, if it is one."""
        return self._subject.process_id, self._subject.url

    def check(self, inputs: Values, expected: Values) -> str:
        """Call every replica; how an answer differs from what is expected, or ""."""
        answers = self._subject.call_each(inputs)
        return next(filter(None, (difference(expected, answer) for answer in answers)), "")

    def prepare(self, inputs: Values, threads: int) -> None:
        """Make a caller for each thread, and let it call once: it connects, caches are warm."""
        self._callers = [self._subject.caller(inputs) for _ in range(threads)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda call: call(), self._callers))

    def run(self, begin_at_s: float, seconds: float) -> Turn:
        """Let each caller call again and again until the time is over, and wait for every call.

        Args:
            begin_at_s: When they begin, by :func:`now_s`.
            seconds: For how long they begin calls.
        """
        with ThreadPoolExecutor(len(self._callers)) as pool:
            latencies_s = list(
                pool.map(lambda call: _call_until(call, begin_at_s, seconds), self._callers)
            )
        return Turn(np.concatenate(latencies_s), now_s() - begin_at_s)

    def close(self) -> None:
        """End the subject."""
        self._subject.close()


def now_s() -> float:
    """A clock that all processes of the machine share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def _call_until(call: Callable[[], Values], begin_at_s: float, seconds: float) -> np.ndarray:
    time.sleep(max(0.0, begin_at_s - now_s()))
    latencies_s = []
    begin_s = now_s()
    while begin_s < begin_at_s + seconds:
        call()
        end_s = now_s()
        latencies_s.append(end_s - begin_s)
        begin_s = end_s
    return np.array(latencies_s)
