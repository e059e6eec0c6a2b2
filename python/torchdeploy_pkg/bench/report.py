"""The table of a benchmark on a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from torchdeploy_pkg.bench.results import median_and_range

if TYPE_CHECKING:
    from torchdeploy_pkg.bench.results import Results, Start

_SHOWN_BEGIN = 150
_SHOWN_END = 300


def table_of(results: Results) -> Table:
    """A row for each strategy with as many threads as interpreters, and for one thread alone."""
    rows = results.rows[0]
    n = results.interpreters
    table = Table(title=_title(results), caption=_caption(results), title_justify="left")
    table.add_column("strategy", no_wrap=True)
    names = ("threads", "calls", "calls/s", "over the first", "p50", "p90", "p99", "MiB", "ready s")
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
    first = next((s.name for s in results.strategies if s.points), "")
    base = (first, 1 if first == "interpreter" else n)
    for strategy in results.strategies:
        counts = sorted({1, n}) if strategy.name == "interpreter" else [n]
        for threads in counts:
            point = strategy.point(threads, rows)
            if point is None:
                continue
            rate, _, _ = median_and_range(point.rows_per_s)
            ratios = results.ratios((strategy.name, threads), base, rows)
            table.add_row(
                strategy.title,
                str(threads),
                str(point.calls),
                f"{rate / rows:.4g}",
                _ratio(ratios),
                *(f"{value:.3g}" for value in (point.p50_ms, point.p90_ms, point.p99_ms)),
                *_start(results.start(strategy.name)),
            )
    return table


def lines_below(results: Results) -> list[str]:
    """Why strategies are not in the table, and what packaging warned of."""
    reasons = [
        f"{strategy.title}: not measured: {_shortened(strategy.unavailable)}"
        for strategy in results.strategies
        if strategy.unavailable
    ]
    return reasons + [f"Note: {_shortened(note)}" for note in results.notes]


def _shortened(text: str) -> str:
    """What a process said last, and an exception's type, are what helps."""
    if len(text) <= _SHOWN_BEGIN + _SHOWN_END:
        return text
    return f"{text[:_SHOWN_BEGIN]} ... {text[-_SHOWN_END:]}"


def _title(results: Results) -> str:
    rows = results.rows[0]
    return f"{results.model}, {results.over}, n = {results.interpreters}, rows in a call: {rows}"


def _caption(results: Results) -> str:
    return (
        f"calls/s: median of {results.rounds} rounds of {results.seconds:g} s in turns, ratios "
        "within rounds; p50, p90, p99 of all calls, in ms; memory (MiB) and ready of one start"
    )


def _ratio(ratios: list[float]) -> str:
    if not ratios:
        return ""
    median, low, high = median_and_range(ratios)
    return f"{median:.2f} x ({low:.2f} to {high:.2f})"


def _start(start: Start | None) -> tuple[str, str]:
    return ("", "") if start is None else (f"{start.pss_mb:.0f}", f"{start.ready_s:.1f}")
