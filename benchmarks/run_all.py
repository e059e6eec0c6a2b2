"""`make bench`: every measure, each in a process of its own, and one table of all figures.

Run it on a machine that does nothing else. The figures go to build/bench/, too: as JSON, and as
the table of docs/benchmarks.md.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys

import click
from figures import BUILD, FOLDER, Figure, markdown_of, table_of
from rich.console import Console

MEASURES = (
    "memory_per_interpreter",
    "start_cost",
    "disk_per_interpreter",
    "call_overhead",
    "weights_of_replicas",
    "latency_while_adding",
    "thread_scaling",
    "server_speed",
    "server_batching",
    "idle_connections",
)
TABLE_WIDTH = 150


def figures_of(measure: str, *, quick: bool) -> list[Figure] | None:
    """Run one script; none when it fails, which it says by itself."""
    output = BUILD / "bench" / f"{measure}.json"
    output.unlink(missing_ok=True)
    command = [sys.executable, str(FOLDER / f"{measure}.py"), "--json", str(output)]
    command += ["--quick"] if quick else []
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode != 0:
        return None
    rows = json.loads(output.read_text())
    return [Figure(**{k: v for k, v in row.items() if k != "verdict"}) for row in rows]


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Few and short rounds: to try the scripts.")
@click.option("--only", type=click.Choice(MEASURES), multiple=True, help="Run this one.")
def main(quick: bool, only: tuple[str, ...]) -> None:
    """Run them, print the table, and fail if one of them did."""
    console = Console(highlight=False)
    (BUILD / "bench").mkdir(parents=True, exist_ok=True)
    load = os.getloadavg()[0]
    cores = len(os.sched_getaffinity(0))
    console.print(f"{cores} cores, {platform.machine()}, load {load:.1f} before the first run")
    figures: list[Figure] = []
    failed = []
    for measure in only or MEASURES:
        with console.status(f"Measuring: {measure}"):
            measured = figures_of(measure, quick=quick)
        if measured is None:
            failed.append(measure)
        figures += measured or []
    Console(width=max(console.width, TABLE_WIDTH)).print(table_of(figures))
    (BUILD / "bench" / "table.md").write_text(markdown_of(figures))
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
