"""Our figures over theirs: where a peer wins, and whether the targets are reached."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from figures import Figure, median_of
from results import CLIENTS
from workloads import THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from results import Plan, Results
    from side import Side

OURS = "torchdeploy"
MANY = max(CLIENTS)
UNITS = {"requests_per_second": "requests/s", "p50_us": "us p50", "p99_us": "us p99"}


@dataclass(frozen=True)
class Comparison:
    """What a run gave, by round."""

    results: Results
    sides: Sequence[Side]

    def rounds(
        self, measure: str, side: str, clients: int, what: str = "requests_per_second"
    ) -> dict[int, float]:
        """One figure of all rounds."""
        return {
            point.round: getattr(point, what)
            for point in self.results.points
            if (point.measure, point.side, point.clients) == (measure, side, clients)
        }

    def values(self, measure: str, side: str) -> dict[int, float]:
        """Megabytes or seconds of all rounds."""
        return {
            value.round: value.value
            for value in self.results.values
            if (value.measure, value.side) == (measure, side)
        }

    def best_peer(self, measure: str, *, servers_only: bool) -> str | None:
        """The peer with the most requests/s of many clients."""
        rates = {
            side.name: self.rounds(measure, side.name, MANY)
            for side in self.sides
            if side.name != OURS and (side.is_server or not servers_only)
        }
        medians = {name: median for name, of in rates.items() if (median := _median(of))}
        return max(medians, key=lambda name: medians[name]) if medians else None

    def wins(self) -> list[str]:
        """A line for each measure in which a peer is better, by the median; servers first."""
        peers = [side for side in self.sides if side.name != OURS]
        peers.sort(key=lambda side: not side.is_server)
        return [line for peer in peers for line in (*self._rates(peer), *self._totals(peer))]

    def _rates(self, peer: Side) -> Iterator[str]:
        for measure in dict.fromkeys(point.measure for point in self.results.points):
            for clients in CLIENTS:
                better = []
                for what, unit in UNITS.items():
                    ours, theirs = (
                        _median(self.rounds(measure, side, clients, what))
                        for side in (OURS, peer.name)
                    )
                    sign = 1 if what == "requests_per_second" else -1
                    if ours is not None and theirs is not None and sign * (theirs - ours) > 0:
                        better.append(f"{theirs:.4g} {unit} (here {ours:.4g})")
                if better:
                    yield f"{peer.title}: {measure}, {clients} clients: {', '.join(better)}"

    def _totals(self, peer: Side) -> Iterator[str]:
        for measure in dict.fromkeys(value.measure for value in self.results.values):
            ours = _median(self.values(measure.removesuffix("_mapped"), OURS))
            theirs = _median(self.values(measure, peer.name))
            unit = "MB" if measure.startswith("memory") else "s"
            if ours is not None and theirs is not None and theirs < ours:
                yield f"{peer.title}: {measure}: {theirs:.4g} {unit} (here {ours:.4g})"


def _median(of_rounds: dict[int, float]) -> float | None:
    return statistics.median(of_rounds.values()) if of_rounds else None


def judged(comparison: Comparison, plan: Plan) -> list[Figure]:
    """All targets; one without figures of both sides is left out."""
    return [
        *_over(comparison, "identity_16", "pytriton", 2.4),
        *_over(comparison, "identity_16", "torchserve", 4),
        *(
            figure
            for workload in THROUGHPUT
            if workload.name != "identity_16"
            for figure in _over_best(comparison, workload.name, 1.0)
        ),
        *_over_best(comparison, "minilm_joined", 1.2),
        *_memory(comparison, plan),
        *_times(comparison, plan),
    ]


def _over(
    comparison: Comparison, measure: str, peer: str, target: float, note: str = ""
) -> Iterator[Figure]:
    ours = comparison.rounds(measure, OURS, MANY)
    theirs = comparison.rounds(measure, peer, MANY)
    ratios = [ours[i] / theirs[i] for i in ours if i in theirs]
    if ratios:
        title = f"requests/s, {measure}, {MANY} clients, over {peer}"
        yield median_of(title, ratios, "x", target, at_least=True, note=note)


def _over_best(comparison: Comparison, measure: str, target: float) -> Iterator[Figure]:
    best = comparison.best_peer(measure, servers_only=True)
    best_of_all = comparison.best_peer(measure, servers_only=False)
    if best is not None:
        yield from _over(comparison, measure, best, target, "the best server")
    if best_of_all not in (None, best):
        assert best_of_all is not None
        yield from _over(comparison, measure, best_of_all, target, "no server: in process")


def _memory(comparison: Comparison, plan: Plan) -> Iterator[Figure]:
    most = max(plan.replicas)
    for suffix, note in (("", ""), ("_mapped", "the peer maps the file: not its way by itself")):
        for peer in ("torchserve", "pytriton"):
            ours = comparison.values(f"memory_{most}", OURS)
            theirs = comparison.values(f"memory_{most}{suffix}", peer)
            ratios = [ours[i] / theirs[i] for i in ours if i in theirs]
            if ratios:
                title = f"PSS, {most} replicas of {plan.memory_mb} MB, over {peer}"
                target = None if suffix else 0.4
                yield median_of(title, ratios, "x", target, note=note)


def _times(comparison: Comparison, plan: Plan) -> Iterator[Figure]:
    for measure, what, target in (
        ("load", f"a running server loads {plan.load_mb} MB until it answers", 0.25),
        ("ready_large", f"start with {plan.load_mb} MB to first answer", None),
    ):
        ours, theirs = (comparison.values(measure, side) for side in (OURS, "torchserve"))
        ratios = [ours[i] / theirs[i] for i in ours if i in theirs]
        if ratios:
            yield median_of(f"{what}, over torchserve", ratios, "x", target)
