"""How much a run measures, and what it gave."""

from __future__ import annotations

from dataclasses import dataclass, field

CLIENTS = (1, 4, 16)


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: Of throughput.
        seconds: Of each point.
        retakes: Of a point that was disturbed.
        replicas: Of the model whose memory is measured.
        memory_mb: Of that model.
        load_mb: Of the model whose load is timed.
        starts: Rounds of starts and loads.
    """

    rounds: int = 5
    seconds: int = 4
    retakes: int = 2
    replicas: tuple[int, ...] = (1, 2, 4)
    memory_mb: int = 500
    load_mb: int = 1900
    starts: int = 3


QUICK = Plan(rounds=1, seconds=1, retakes=0, replicas=(2,), memory_mb=64, load_mb=128, starts=1)


@dataclass(frozen=True)
class Point:
    """Requests kept under way for some seconds; the last two are shares of all cores' time."""

    measure: str
    side: str
    clients: int
    round: int
    requests_per_second: float
    p50_us: float
    p99_us: float
    attempts: int
    others: float
    steal: float


@dataclass(frozen=True)
class Value:
    """Megabytes, or seconds; the last two are shares of all cores' time."""

    measure: str
    side: str
    round: int
    value: float
    others: float = 0.0
    steal: float = 0.0


@dataclass(frozen=True)
class Failure:
    """A side that has no figure, and why."""

    measure: str
    side: str
    reason: str


@dataclass
class Results:
    """All that a run gave; each list is in the order of its taking."""

    points: list[Point] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    # Largest difference to plain Python, by measure and side.
    differences: dict[str, dict[str, float]] = field(default_factory=dict)
    # The libpython of a side's processes.
    libpythons: dict[str, list[str]] = field(default_factory=dict)
