"""The command ``torchdeploy bench``."""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from torchdeploy_pkg.bench.strategies import STRATEGIES
from torchdeploy_pkg.errors import FailedPreconditionError

if TYPE_CHECKING:
    from types import FrameType

    from rich.progress import TaskID

    from torchdeploy_pkg.bench.results import Results

_TABLE_WIDTH = 150


@click.command()
@click.argument("archive", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--over",
    type=click.Choice(["in-process", "grpc"]),
    default="in-process",
    show_default=True,
    help="Call the model in the same process, or ask a server for it.",
)
@click.option("--interpreters", type=click.IntRange(min=1), help="The n.  [default: cores]")
@click.option(
    "--strategy",
    "strategies",
    type=click.Choice(list(STRATEGIES)),
    multiple=True,
    help="Measure this one. Repeatable.  [default: all]",
)
@click.option(
    "--rows",
    type=click.IntRange(min=1),
    multiple=True,
    default=(1, 2, 4, 8),
    show_default=True,
    help="Rows of a call. Repeatable.",
)
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True)
@click.option(
    "--seconds",
    type=click.FloatRange(min=0.01),
    default=1.0,
    show_default=True,
    help="Of each turn.",
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for results.json and the plots, PNG and SVG; needs matplotlib.",
)
def bench(
    archive: Path,
    over: str,
    interpreters: int | None,
    strategies: tuple[str, ...],
    rows: tuple[int, ...],
    rounds: int,
    seconds: float,
    output: Path | None,
) -> None:
    """Measure the model in ARCHIVE in every way that it can be run here.

    ARCHIVE is an eager one with an example in it, which is what is asked for. It is run by 1
    and by n interpreters, by n with torch.compile, by TorchScript and AOTInductor, for which it
    is packaged, and by n plain Python processes. Each must first answer as plain Python does;
    then they take turns. Let nothing else run on the machine meanwhile.

    \b
    Examples:
      torchdeploy bench net.pt
      torchdeploy bench net.pt --over grpc --output figures/
      torchdeploy bench net.pt --strategy interpreters --strategy processes --rows 1
    """
    from torchdeploy_pkg.bench.measure import Settings, run_benchmark

    if output is not None and find_spec("matplotlib") is None:
        msg = "--output draws plots: pip install torchdeploy-pkg[bench]"
        raise FailedPreconditionError(msg)
    settings = Settings(
        strategies=tuple(name for name in STRATEGIES if not strategies or name in strategies),
        over_grpc=over == "grpc",
        interpreters=interpreters or len(os.sched_getaffinity(0)),
        rows=tuple(dict.fromkeys(rows)),
        rounds=rounds,
        seconds=seconds,
    )
    if output is not None:
        output.mkdir(parents=True, exist_ok=True)
    before = signal.signal(signal.SIGTERM, _exit)
    try:
        with _Bars() as bars:
            results = run_benchmark(archive, settings, bars)
    finally:
        signal.signal(signal.SIGTERM, before)
    show(results)
    if output is not None:
        write(results, output)
    if any(strategy.failed for strategy in results.strategies):
        msg = "a strategy failed"
        raise click.ClickException(msg)
    if not any(strategy.points for strategy in results.strategies):
        msg = "nothing could be measured"
        raise click.ClickException(msg)


def show(results: Results) -> None:
    """Print the table, and what is missing in it."""
    from torchdeploy_pkg.bench.report import lines_below, table_of

    console = Console(highlight=False)
    # Wide enough that nothing is cut, also where the output is no terminal.
    Console(width=max(console.width, _TABLE_WIDTH)).print(table_of(results))
    for line in lines_below(results):
        console.print(line, markup=False, soft_wrap=True)


def write(results: Results, folder: Path) -> None:
    """Write results.json and the plots."""
    from torchdeploy_pkg.bench.plots import write_plots

    (folder / "results.json").write_text(results.to_json())
    files = write_plots(results, folder)
    click.echo(f"{folder}: results.json, {', '.join(path.name for path in files)}")


def _exit(_number: int, _frame: FrameType | None) -> None:
    """So that what was started is ended."""
    sys.exit(128 + signal.SIGTERM)


class _Bars(Progress):
    """A progress bar for each part, on stderr."""

    def __init__(self) -> None:
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[now]}"),
            console=Console(stderr=True),
        )
        self._part: TaskID | None = None

    def begin(self, title: str, steps: int) -> None:
        self._end_part()
        self._part = self.add_task(title, total=steps, now="")
        self._done = -1

    def step(self, title: str) -> None:
        assert self._part is not None
        self._done += 1
        self.update(self._part, completed=self._done, now=title)

    def stop(self) -> None:
        self._end_part()
        super().stop()

    def _end_part(self) -> None:
        if self._part is not None:
            total = self.tasks[self._part].total
            self.update(self._part, completed=total, now="")
            self._part = None
