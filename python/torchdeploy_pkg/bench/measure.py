"""The course of a benchmark: prepare, start, compare answers, then time in turns."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from torchdeploy_pkg.archive import inspect_archive
from torchdeploy_pkg.bench.actor import Actor, ActorError
from torchdeploy_pkg.bench.group import Group, Request
from torchdeploy_pkg.bench.preparation import Preparation
from torchdeploy_pkg.bench.results import Point, Results, Start, StrategyResults, this_machine
from torchdeploy_pkg.bench.strategies import STRATEGIES, Strategy
from torchdeploy_pkg.bench.subjects import Plan
from torchdeploy_pkg.errors import InvalidArgumentError, TorchDeployError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torchdeploy_pkg.bench.worker import Turn

INTRA_OP_THREADS = 1  # For all: n threads that call are then n threads that work.
REPLICAS = (1, 2, 4)  # Whose start and memory is measured, and that of n.
_PREPARE_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What is measured, and for how long.

    Attributes:
        strategies: Names of STRATEGIES.
        over_grpc: Whether calls go over gRPC to a server.
        interpreters: The n.
        rows: Of a call; throughput over threads is that of the fewest.
        rounds: How often each point has its turn.
        seconds: Of a turn.
        replicas: Whose start and memory is measured, and that of n.
    """

    strategies: tuple[str, ...]
    over_grpc: bool
    interpreters: int
    rows: tuple[int, ...]
    rounds: int
    seconds: float
    replicas: tuple[int, ...] = REPLICAS


class Progress(Protocol):
    """Told of each step."""

    def begin(self, title: str, steps: int) -> None:
        """A part of the benchmark with so many steps begins."""
        ...

    def step(self, title: str) -> None:
        """The next step begins."""
        ...


def run_benchmark(archive: Path, settings: Settings, progress: Progress) -> Results:
    """Measure one eager archive.

    Raises:
        InvalidArgumentError: The archive cannot be measured; the message says why.
        ActorError: Plain Python cannot run it.
    """
    manifest = inspect_archive(archive)
    if manifest is None or manifest.example is None:
        msg = (
            f"{archive}: there is no example in it to ask for: "
            "give an eager archive that was packaged with example_inputs"
        )
        raise InvalidArgumentError(msg)
    if manifest.yields:
        msg = f"{archive}: its model yields; what is measured are models with one answer"
        raise InvalidArgumentError(msg)
    results = Results(
        model=manifest.name,
        over="grpc" if settings.over_grpc else "in-process",
        interpreters=settings.interpreters,
        rows=sorted(settings.rows) if manifest.batch_dimension == 0 else [1],
        rounds=settings.rounds,
        seconds=settings.seconds,
        machine=this_machine(),
    )
    with tempfile.TemporaryDirectory(prefix="torchdeploy-bench-") as folder:
        _Course(archive.resolve(), Path(folder), settings, results, progress).run()
    return results


class _Course:
    def __init__(
        self, archive: Path, folder: Path, settings: Settings, results: Results, progress: Progress
    ) -> None:
        self._folder = folder
        self._settings = settings
        self._results = results
        self._progress = progress
        self._archives = {"eager": archive}
        self._requests: dict[int, Request] = {}
        self._strategies = [STRATEGIES[name] for name in settings.strategies]
        self._of = {s.name: StrategyResults(s.name, s.title) for s in self._strategies}
        self._groups_made = 0
        results.strategies = list(self._of.values())

    def run(self) -> None:
        self._prepare()
        self._measure_starts()
        with ExitStack() as running:
            self._time(self._start_all(running))

    def _prepare(self) -> None:
        """Requests, right answers, and the archives of the other engines."""
        engines = sorted({s.engine for s in self._strategies} - {"eager"})
        self._progress.begin("Preparing", 1 + len(engines))
        self._progress.step("right answers from plain Python")
        plan = self._plan(STRATEGIES["processes"], 1, self._folder)
        with ExitStack() as running:
            actor = Actor(self._folder / "preparation.log", Preparation, plan)
            running.callback(actor.stop)
            actor.receive(_PREPARE_TIMEOUT_S)
            found = actor.call("requests", self._results.rows, timeout_s=_PREPARE_TIMEOUT_S)
            self._requests = {rows: Request(*pair) for rows, pair in found.items()}
            for engine in engines:
                self._progress.step(f"packaging for {engine}")
                suffix = ".pt2" if engine == "aotinductor" else ".pt"
                path = self._folder / engine / f"model{suffix}"
                try:
                    notes = actor.call("write", engine, path, timeout_s=_PREPARE_TIMEOUT_S)
                except ActorError as exc:
                    self._drop(engine, str(exc))
                    continue
                self._archives[engine] = path
                self._results.notes += notes

    def _drop(self, engine: str, reason: str) -> None:
        for strategy in self._strategies:
            if strategy.engine == engine:
                self._of[strategy.name].unavailable = reason

    def _plan(self, strategy: Strategy, replicas: int, folder: Path) -> Plan:
        archive = self._archives[strategy.engine]
        return Plan(archive, folder, strategy, replicas, INTRA_OP_THREADS)

    def _measure_starts(self) -> None:
        """Each strategy with each number of replicas, alone: others would share its pages."""
        steps = [(s, n) for s in self._available() for n in self._replicas_of(s)]
        if not steps:
            return
        self._progress.begin("Starting", 1 + len(steps))
        self._progress.step("for the caches")
        strategy, replicas = max(steps, key=lambda step: step[1])
        with self._group(strategy, replicas) as group:
            self._begun(group)
        for strategy, replicas in steps:
            self._progress.step(f"{strategy.title}: {replicas}")
            if not self._of[strategy.name].unavailable:
                with self._group(strategy, replicas) as group:
                    start = self._begun(group)
                    if start is not None:
                        self._of[strategy.name].starts.append(start)

    def _start_all(self, running: ExitStack) -> list[Group]:
        """Each strategy that answers as plain Python does, to be timed beside the others."""
        groups = []
        strategies = self._available()
        self._progress.begin("Starting all", len(strategies))
        for strategy in strategies:
            self._progress.step(strategy.title)
            with ExitStack() as ending:
                group = ending.enter_context(self._group(strategy, self._timed_replicas(strategy)))
                if self._begun(group) is not None:
                    groups.append(group)
                    running.push(ending.pop_all())
        return groups

    def _available(self) -> list[Strategy]:
        return [s for s in self._strategies if not self._of[s.name].unavailable]

    def _group(self, strategy: Strategy, replicas: int) -> Group:
        self._groups_made += 1
        folder = self._folder / f"group-{self._groups_made}"
        return Group(self._plan(strategy, replicas, folder), over_grpc=self._settings.over_grpc)

    def _timed_replicas(self, strategy: Strategy) -> int:
        return self._settings.interpreters if strategy.replicas else 1

    def _replicas_of(self, strategy: Strategy) -> list[int]:
        timed = self._timed_replicas(strategy)
        others = self._settings.replicas if strategy.has_replicas_of_its_own else ()
        return sorted({*others, timed})

    def _begun(self, group: Group) -> Start | None:
        """How a group began; None if it did not, or answers otherwise than plain Python."""
        of_strategy = self._of[group.strategy.name]
        first, *others = self._requests.values()
        try:
            start, wrong = group.wait_until_ready(first)
            wrong = wrong or next(filter(None, map(group.check, others)), "")
        except TorchDeployError as exc:
            of_strategy.fail(str(exc))
            return None
        if wrong:
            of_strategy.fail(f"its answer is not that of plain Python: {wrong}")
            return None
        return start

    def _time(self, groups: Sequence[Group]) -> None:
        """All points in turns; every second round backwards, so that drift hits all alike."""
        turns: dict[tuple[str, int, int], list[Turn]] = defaultdict(list)
        points = [(group, *point) for group in groups for point in self._points(group.strategy)]
        self._progress.begin("Measuring", len(points) * self._settings.rounds)
        for index in range(self._settings.rounds):
            for group, threads, rows in points if index % 2 == 0 else reversed(points):
                of_strategy = self._of[group.strategy.name]
                if of_strategy.unavailable:
                    continue
                self._progress.step(f"{group.strategy.title}: {threads} threads, {rows} rows")
                try:
                    turn = group.run(self._requests[rows], threads, self._settings.seconds)
                except TorchDeployError as exc:
                    of_strategy.fail(str(exc))
                    group.stop()  # It may go on in the turns of others.
                else:
                    turns[group.strategy.name, threads, rows].append(turn)
        for (name, threads, rows), of_point in turns.items():
            if not self._of[name].unavailable:
                self._of[name].points.append(_point(threads, rows, of_point))

    def _points(self, strategy: Strategy) -> Iterator[tuple[int, int]]:
        """Throughput over threads with the fewest rows; all rows with all threads."""
        n = self._settings.interpreters
        first, *others = self._results.rows
        counts = [1, n] if not strategy.replicas else thread_counts(n)
        yield from ((threads, first) for threads in dict.fromkeys(counts))
        yield from ((n, rows) for rows in others)


def thread_counts(n: int) -> list[int]:
    """1, 2, 4 ... below n, and n."""
    return [*(1 << power for power in range(n.bit_length()) if 1 << power < n), n]


def _point(threads: int, rows: int, turns: Sequence[Turn]) -> Point:
    latencies_ms = np.concatenate([turn.latencies_s for turn in turns]) * 1e3
    p50, p90, p99 = np.percentile(latencies_ms, (50, 90, 99))
    return Point(
        threads=threads,
        rows=rows,
        calls=len(latencies_ms),
        rows_per_s=[_rows_per_s(rows, turn) for turn in turns],
        p50_ms=float(p50),
        p90_ms=float(p90),
        p99_ms=float(p99),
    )


def _rows_per_s(rows: int, turn: Turn) -> float:
    return rows * len(turn.latencies_s) / (turn.end_s - turn.begin_s)
