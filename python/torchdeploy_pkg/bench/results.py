"""What a benchmark gives, and its JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import version


@dataclass(frozen=True, slots=True)
class Start:
    """How a strategy began.

    Attributes:
        replicas: Interpreters, or processes.
        ready_s: From the start of the process until each replica had answered once.
        pss_mb: Memory then: proportional set size of all processes that hold the model.
    """

    replicas: int
    ready_s: float
    pss_mb: float


@dataclass(frozen=True, slots=True)
class Point:
    """Calls of so many rows by so many threads at once.

    Attributes:
        calls: Their number in all rounds.
        rows_per_s: Of each round.
        p50_ms, p90_ms, p99_ms: Of the calls of all rounds.
    """

    threads: int
    rows: int
    calls: int
    rows_per_s: list[float]
    p50_ms: float
    p90_ms: float
    p99_ms: float


@dataclass(slots=True)
class StrategyResults:
    """What one strategy gave.

    Attributes:
        unavailable: Why it could not be measured; "" if it was.
        failed: Whether it should have been: it ended, hung, or answered otherwise than plain
            Python. Else its engine does not take the model.
        starts: In order of replicas.
    """

    name: str
    title: str
    unavailable: str = ""
    failed: bool = False
    starts: list[Start] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)

    def fail(self, reason: str) -> None:
        """It should have been measured, and cannot be."""
        self.unavailable = reason
        self.failed = True

    def point(self, threads: int, rows: int) -> Point | None:
        """The point, if it was measured."""
        found = (p for p in self.points if (p.threads, p.rows) == (threads, rows))
        return next(found, None)


@dataclass(slots=True)
class Results:
    """All of one run.

    Attributes:
        model: Name of the model.
        over: "in-process" or "grpc".
        interpreters: The n of "n interpreters".
        rows: Of a call, ascending; [1] for a model whose requests cannot be joined.
        machine: What it ran on, by name.
        notes: What packaging for other engines warned of.
    """

    model: str
    over: str
    interpreters: int
    rows: list[int]
    rounds: int
    seconds: float
    machine: dict[str, str]
    strategies: list[StrategyResults] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def strategy(self, name: str) -> StrategyResults | None:
        """What it gave, if it was asked for."""
        return next((s for s in self.strategies if s.name == name), None)

    def start(self, name: str) -> Start | None:
        """How a strategy began with the replicas that were timed, if it did."""
        strategy = self.strategy(name)
        wanted = self.interpreters if name != "interpreter" else 1
        starts = strategy.starts if strategy else ()
        return next((start for start in starts if start.replicas == wanted), None)

    def ratios(self, one: tuple[str, int], other: tuple[str, int], rows: int) -> list[float]:
        """Throughput of one (strategy, threads) over that of another, in each round."""
        points = []
        for name, threads in (one, other):
            strategy = self.strategy(name)
            points.append(strategy.point(threads, rows) if strategy else None)
        numerator, denominator = points
        if numerator is None or denominator is None:
            return []
        pairs = zip(numerator.rows_per_s, denominator.rows_per_s, strict=True)
        return [a / b for a, b in pairs]

    def to_json(self) -> str:
        """One object; its keys are the fields of these classes."""
        return json.dumps(asdict(self), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Results:
        """What :meth:`to_json` wrote."""
        document = json.loads(text)
        document["strategies"] = [
            StrategyResults(
                **{
                    **strategy,
                    "starts": [Start(**start) for start in strategy["starts"]],
                    "points": [Point(**point) for point in strategy["points"]],
                }
            )
            for strategy in document["strategies"]
        ]
        return cls(**document)


def median_and_range(values: list[float]) -> tuple[float, float, float]:
    """Median, smallest, largest."""
    return statistics.median(values), min(values), max(values)


def this_machine() -> dict[str, str]:
    """What figures depend on."""
    return {
        "cores": str(len(os.sched_getaffinity(0))),
        "architecture": platform.machine(),
        "system": platform.platform(),
        "python": f"{platform.python_version()} ({sys.base_prefix})",
        "torch": version("torch"),
        "torchdeploy": version("torchdeploy-pkg"),
    }
