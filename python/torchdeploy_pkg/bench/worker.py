"""What runs in each measured process: a subject, checked, then called by threads for some time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import TYPE_CHECKING, Any

import numpy as np

from torchdeploy_pkg.bench.values import difference

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torchdeploy_pkg.bench.subjects import Subject
    from torchdeploy_pkg.bench.values import Values


@dataclass(frozen=True, slots=True)
class Turn:
    """What one process did in one turn.

    Attributes:
        latencies_s: Seconds of each call.
        begin_s: When the first call began, by :func:`now_s`.
        end_s: When the last one ended.
    """

    latencies_s: np.ndarray
    begin_s: float
    end_s: float

    @classmethod
    def together(cls, turns: Sequence[Turn]) -> Turn:
        """What several did side by side."""
        return cls(
            np.concatenate([turn.latencies_s for turn in turns]),
            min(turn.begin_s for turn in turns),
            max(turn.end_s for turn in turns),
        )


class Worker:
    """A subject in a process of its own."""

    def __init__(self, kind: Callable[[Any], Subject], argument: Any) -> None:
        self._subject = kind(argument)
        self._callers: list[Callable[[], Values]] = []
        self._threads: ThreadPoolExecutor | None = None

    def place(self) -> tuple[int, str]:
        """Process that has the model in its memory, and URL of the server, if it is one."""
        return self._subject.process_id, self._subject.url

    def check(self, inputs: Values, expected: Values) -> str:
        """Call every replica; how an answer differs from what is expected, or ""."""
        answers = self._subject.call_each(inputs)
        return next(filter(None, (difference(expected, answer) for answer in answers)), "")

    def prepare(self, inputs: Values, threads: int) -> None:
        """Make threads with a caller each, and let it call once: it connects, caches are warm."""
        self._end_threads()
        self._callers = [self._subject.caller(inputs) for _ in range(threads)]
        self._threads = ThreadPoolExecutor(threads)
        together = Barrier(threads)

        def call_first(call: Callable[[], Values]) -> None:
            together.wait()  # So that each is on a thread of its own.
            call()

        list(self._threads.map(call_first, self._callers))

    def run(self, begin_at_s: float, seconds: float) -> Turn:
        """Let each caller call again and again until the time is over, and wait for every call.

        Args:
            begin_at_s: When they begin, by :func:`now_s`.
            seconds: For how long they begin calls; each makes one at least.
        """
        assert self._threads is not None
        return Turn.together(
            list(self._threads.map(lambda call: _turn(call, begin_at_s, seconds), self._callers))
        )

    def close(self) -> None:
        """End the subject."""
        self._end_threads()
        self._subject.close()

    def _end_threads(self) -> None:
        if self._threads is not None:
            self._threads.shutdown()


def now_s() -> float:
    """A clock that all processes of the machine share."""
    return time.clock_gettime(time.CLOCK_MONOTONIC)


def _turn(call: Callable[[], Values], begin_at_s: float, seconds: float) -> Turn:
    time.sleep(max(0.0, begin_at_s - now_s()))
    latencies_s: list[float] = []
    first_s = begin_s = now_s()
    while not latencies_s or begin_s < first_s + seconds:
        call()
        end_s = now_s()
        latencies_s.append(end_s - begin_s)
        begin_s = end_s
    return Turn(np.array(latencies_s), first_s, begin_s)
