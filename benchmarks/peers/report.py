"""The run's report: first where a peer wins, then the targets, then all figures with settings."""

from __future__ import annotations

import os
import platform
import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from comparison import Comparison, judged
from disturbance import MOST_SHARE
from figures import markdown_of
from results import CLIENTS
from side import BATCH_DELAY_MS, BATCH_ROWS, INTRA_OP_THREADS, REPLICAS
from workloads import THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from results import Plan, Point, Results, Value
    from side import Side

TITLES = {
    **{workload.name: workload.title for workload in THROUGHPUT},
    "minilm_joined": "MiniLM sentence embedding, requests joined",
}


def report_of(results: Results, sides: Sequence[Side], plan: Plan, *, quick: bool) -> str:
    """The whole report in Markdown."""
    comparison = Comparison(results, sides)
    parts = [
        "# This server and others",
        _conditions(plan, quick=quick),
        "## Where a peer wins",
        _list(comparison.wins()) or "Nowhere in this run.",
        "## Targets",
        markdown_of(judged(comparison, plan)),
        "## Not measured",
        _list(f"{f.measure}, {f.side}: {f.reason.splitlines()[0]}" for f in results.failures)
        or "Nothing is missing.",
        "## Settings",
        _list(f"**{side.title}**: {side.settings}." for side in sides),
        "## libpython",
        _libpythons(results),
        "## Throughput and latency",
        *_throughput(results, sides),
        "## Memory and times",
        _values(results, sides, plan),
        "## Largest difference to plain Python",
        _differences(results, sides),
    ]
    return "\n\n".join(part.strip() for part in parts if part) + "\n"


def _conditions(plan: Plan, *, quick: bool) -> str:
    text = (
        f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}. "
        f"{plan.rounds} rounds of {plan.seconds} s for each point, in turns, each round in another "
        "order; a side is stopped (SIGSTOP) while another has its turn. Figures are the median of "
        "the rounds (lowest to highest); ratios are taken within rounds. A point of which other "
        f"processes and the hypervisor's steal took more than {MOST_SHARE:.0%} of the cores was "
        f"taken again, {plan.retakes} times at most; what was left is in the last column. Client "
        "and server share the cores: load_generator (C++) for gRPC, wrk for HTTP, each client on a "
        f"connection of its own. All sides: {REPLICAS} replicas, {INTRA_OP_THREADS} thread of "
        f"torch in each call; where requests are joined {BATCH_ROWS} at most, with a delay of "
        f"{BATCH_DELAY_MS:g} ms. Models are read from the page cache, by peers with `torch.load` "
        "into a module that is made without weights."
    )
    return f"**Quick run: these figures say nothing.** {text}" if quick else text


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _spread(values: Sequence[float], digits: int = 0) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _throughput(results: Results, sides: Sequence[Side]) -> list[str]:
    parts = []
    columns = ("clients", "side", "requests/s", "p50, ms", "p99, ms", "others and steal, %")
    for measure, title in TITLES.items():
        rows = []
        for clients in CLIENTS:
            for side in sides:
                points = [
                    point
                    for point in results.points
                    if (point.measure, point.side, point.clients) == (measure, side.name, clients)
                ]
                if points:
                    rows.append(_row_of(clients, side, points))
        if rows:
            parts += [f"### {title}", _table(columns, rows)]
    return parts


def _row_of(clients: int, side: Side, points: Sequence[Point]) -> list[str]:
    disturbed = [100 * (point.others + point.steal) for point in points]
    return [
        str(clients),
        side.title,
        _spread([point.requests_per_second for point in points]),
        _spread([point.p50_us / 1000 for point in points], 2),
        _spread([point.p99_us / 1000 for point in points], 2),
        _spread(disturbed, 1),
    ]


def _values(results: Results, sides: Sequence[Side], plan: Plan) -> str:
    titles = {
        **{f"memory_{n}": f"{n} replicas of {plan.memory_mb} MB, MB" for n in plan.replicas},
        **{
            f"memory_{n}_mapped": f"the same, {n} replicas, peers map the file, MB"
            for n in plan.replicas
        },
        "ready": "start to first answer, identity, s",
        "ready_large": f"start to first answer, {plan.load_mb} MB, s",
        "load": f"running server loads {plan.load_mb} MB until it answers, s",
    }
    rows = []
    for measure, title in titles.items():
        cells = [_cell(results.values, measure, side.name) for side in sides]
        if any(cells):
            rows.append([title, *cells])
    return _table(["", *(side.title for side in sides)], rows) if rows else "Not asked for."


def _cell(values: Sequence[Value], measure: str, side: str) -> str:
    found = [v.value for v in values if (v.measure, v.side) == (measure, side)]
    return _spread(found, 0 if measure.startswith("memory") else 1) if found else ""


def _libpythons(results: Results) -> str:
    mapped = {side: set(files) for side, files in results.libpythons.items()}
    if common := set.intersection(*mapped.values()) if mapped else set():
        # This server's interpreters have private names of it, over the same pages of code.
        return f"All sides run on the same file, {Path(min(common)).name}."
    return _list(
        f"{side}: {', '.join(sorted(files)) or 'a part of its python'}"
        for side, files in mapped.items()
    )


def _differences(results: Results, sides: Sequence[Side]) -> str:
    rows = [
        [measure, *(f"{of[side.name]:.1e}" if side.name in of else "" for side in sides)]
        for measure, of in results.differences.items()
    ]
    return _table(["", *(side.title for side in sides)], rows)
