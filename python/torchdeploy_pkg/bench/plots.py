"""The plots of a benchmark, as PNG and SVG. Needs matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib as mpl

from torchdeploy_pkg.bench.results import median_and_range
from torchdeploy_pkg.bench.strategies import STRATEGIES

mpl.use("Agg")  # Draws into files, also where there is no display.

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

    from torchdeploy_pkg.bench.results import Results, StrategyResults

_FORMATS = ("png", "svg")
_SIZE = (7.0, 4.2)
_WIDE = (12.0, 4.2)


def write_plots(results: Results, folder: Path) -> list[Path]:
    """Write throughput, latency, load time and memory; the files."""
    figures = {
        "throughput": _throughput(results),
        "latency": _latency(results),
        "load_time": _load_time(results),
        "memory": _memory(results),
    }
    files = []
    for name, figure in figures.items():
        figure.suptitle(f"{results.model}, {results.over}")
        for kind in _FORMATS:
            path = folder / f"{name}.{kind}"
            figure.savefig(path, dpi=120)
            files.append(path)
    return files


def _throughput(results: Results) -> Figure:
    figure, axes = _axes()
    rows = results.rows[0]
    for strategy in results.strategies:
        points = sorted((p for p in strategy.points if p.rows == rows), key=lambda p: p.threads)
        if not points:
            continue
        medians, lows, highs = zip(*(median_and_range(p.rows_per_s) for p in points), strict=True)
        threads = [point.threads for point in points]
        axes.plot(threads, medians, **_style(strategy))
        axes.fill_between(threads, lows, highs, alpha=0.15, color=_color(strategy))
    axes.set(xlabel="threads that call", ylabel="rows/s, median and range of rounds")
    axes.set_ylim(bottom=0)
    axes.set_xticks(sorted({p.threads for s in results.strategies for p in s.points}))
    return _finished(figure, axes)


def _latency(results: Results) -> Figure:
    figure = Figure(figsize=_WIDE, layout="constrained")
    panels = figure.subplots(1, 3)
    for axes, (title, field) in zip(
        panels, (("p50", "p50_ms"), ("p90", "p90_ms"), ("p99", "p99_ms")), strict=True
    ):
        for strategy in results.strategies:
            points = sorted(
                (p for p in strategy.points if p.threads == results.interpreters),
                key=lambda p: p.rows,
            )
            if points:
                values = [getattr(point, field) for point in points]
                axes.plot([p.rows for p in points], values, **_style(strategy))
        axes.set(title=title, xlabel="rows of a call", xticks=results.rows)
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
    panels[0].set_ylabel("ms")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", fontsize="small")
    return figure


def _load_time(results: Results) -> Figure:
    figure, axes = _axes()
    started = [(s, start) for s in results.strategies if (start := results.start(s.name))]
    for position, (strategy, start) in enumerate(started):
        axes.barh(position, start.ready_s, color=_color(strategy))
        axes.annotate(f" {start.ready_s:.1f}", (start.ready_s, position), va="center")
    axes.set_yticks(range(len(started)), [strategy.title for strategy, _ in started])
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set(xlabel="s, from the start of the process until each replica has answered")
    return figure


def _memory(results: Results) -> Figure:
    figure, axes = _axes()
    for strategy in results.strategies:
        if strategy.starts:
            counts = [start.replicas for start in strategy.starts]
            memory_mb = [start.pss_mb for start in strategy.starts]
            axes.plot(counts, memory_mb, **_style(strategy))
    axes.set(xlabel="replicas", ylabel="MiB, proportional set size")
    axes.set_ylim(bottom=0)
    axes.set_xticks(sorted({start.replicas for s in results.strategies for start in s.starts}))
    return _finished(figure, axes)


def _color(strategy: StrategyResults) -> str:
    """The same in every plot, whichever strategies there are."""
    return f"C{list(STRATEGIES).index(strategy.name)}"


def _style(strategy: StrategyResults) -> dict[str, Any]:
    return {"marker": "o", "label": strategy.title, "color": _color(strategy)}


def _axes() -> tuple[Figure, Axes]:
    figure = Figure(figsize=_SIZE, layout="constrained")
    return figure, figure.subplots()


def _finished(figure: Figure, axes: Axes) -> Figure:
    axes.grid(visible=True, alpha=0.3)
    if axes.lines:
        axes.legend(fontsize="small")
    return figure
