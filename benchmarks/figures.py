"""What a measure gives, and the command line that all measures share."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FOLDER = Path(__file__).resolve().parent
BUILD = FOLDER.parent / "build"


@dataclass(frozen=True)
class Figure:
    """One figure, the range that it was seen in, and what it should be."""

    measure: str
    value: float
    low: float
    high: float
    unit: str = ""
    target: float | None = None
    at_least: bool = False  # Else the target is the most that it may be.
    note: str = ""

    @property
    def verdict(self) -> str:
        """Whether the target is reached; "" without one."""
        if self.target is None:
            return ""
        reached = self.value >= self.target if self.at_least else self.value <= self.target
        return "reached" if reached else "missed"


def median_of(
    measure: str,
    values: Sequence[float],
    unit: str = "",
    target: float | None = None,
    *,
    at_least: bool = False,
    note: str = "",
) -> Figure:
    """The median of the rounds, with their range."""
    median = statistics.median(values)
    return Figure(measure, median, min(values), max(values), unit, target, at_least, note)


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that `share` of them do not exceed."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


COLUMNS = ("measure", "figure", "range", "target", "", "note")


def cells_of(figure: Figure) -> tuple[str, ...]:
    """What stands in each of COLUMNS."""
    unit = figure.unit and f" {figure.unit}"
    sign = ">=" if figure.at_least else "<="
    return (
        figure.measure,
        f"{figure.value:.4g}{unit}",
        f"{figure.low:.4g} to {figure.high:.4g}",
        "" if figure.target is None else f"{sign} {figure.target:g}{unit}",
        figure.verdict,
        figure.note,
    )


def table_of(figures: Sequence[Figure]) -> Table:
    """A row for each figure."""
    table = Table(*COLUMNS)
    for figure in figures:
        table.add_row(*cells_of(figure))
    return table


def markdown_of(figures: Sequence[Figure]) -> str:
    """The same in Markdown."""
    rows = [COLUMNS, ("---",) * len(COLUMNS), *map(cells_of, figures)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def run_in_python(program: str, *arguments: object) -> None:
    """Run a program in a Python of its own that finds the modules of this folder."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    subprocess.run(command, cwd=FOLDER, check=True)


def command_of(measure: Callable[[bool], list[Figure]]) -> click.Command:
    """The command line of one measure: it prints a table, and writes JSON if asked to."""

    @click.command(help=measure.__doc__)
    @click.option("--quick", is_flag=True, help="Few and short rounds: to try the script.")
    @click.option("--json", "output", type=click.Path(path_type=Path), help="Write this file.")
    def command(quick: bool, output: Path | None) -> None:
        figures = measure(quick)
        Console().print(table_of(figures))
        if output is not None:
            text = json.dumps([{**asdict(f), "verdict": f.verdict} for f in figures], indent=2)
            output.write_text(text + "\n")

    return command
