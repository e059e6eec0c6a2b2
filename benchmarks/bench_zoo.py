"""`make bench-zoo`: `torchdeploy bench` on every model of the zoo, and the targets over all of it.

Run it on a machine that does nothing else. Results and plots of each model go to
build/bench/zoo/MODEL-OVER/, the table of all to build/bench/zoo.md.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import click
from figures import BUILD, Figure, markdown_of, median_of, table_of
from rich.console import Console
from zoo.archives import ZOO

from torchdeploy_pkg.bench.results import Results

GIL_BOUND = "tiny_layers"
TABLE_WIDTH = 150
QUICK = ("--rounds", "1", "--seconds", "0.2", "--rows", "1")


def measured(model: str, over: str, *, quick: bool) -> Results | None:
    """Run the command on one model; none when it failed before it wrote anything."""
    output = BUILD / "bench" / "zoo" / f"{model}-{over}"
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / f"{model}.pt"
        ZOO[model].write(archive)
        command = [sys.executable, "-m", "torchdeploy_pkg", "bench", archive, "--over", over]
        command += ["--output", output, *(QUICK if quick else ())]
        written = output / "results.json"
        written.unlink(missing_ok=True)
        subprocess.run(list(map(str, command)), check=False)  # What failed is in the results.
    return Results.from_json(written.read_text()) if written.exists() else None


def figures_of(results: list[Results]) -> list[Figure]:
    """The targets, each over the models that it is for."""
    figures = []
    compiled = []
    for one in results:
        n = one.interpreters
        what = f"{one.model}, {one.over}"
        many = one.ratios(("interpreters", n), ("interpreter", 1), rows=1)
        eager = one.ratios(("interpreters", n), ("torchscript", n), rows=1)
        inductor = one.ratios(("compiled", n), ("torchscript", n), rows=1)
        bare = one.ratios(("interpreters", n), ("processes", n), rows=1)
        target = 0.95 * n if one.model == GIL_BOUND and one.over == "in-process" else None
        figures += _figure(f"{what}: n interpreters over 1", many, target)
        figures += _figure(f"{what}: n interpreters over n processes", bare, None)
        is_named = one.model in ("resnet18", "bert_base") and one.over == "in-process"
        figures += _figure(f"{what}: eager over TorchScript", eager, 0.97 if is_named else None)
        figures += _figure(f"{what}: torch.compile over TorchScript", inductor, None)
        if inductor and one.over == "in-process":
            compiled.append(statistics.median(inductor))
    target = 1.5 if len(compiled) == len(ZOO) else None
    what = f"{len(compiled)} models: torch.compile over TorchScript, in process"
    return figures + _figure(what, compiled, target)


def _figure(measure: str, ratios: list[float], target: float | None) -> list[Figure]:
    """None where a strategy could not be measured."""
    return [median_of(measure, ratios, "x", target, at_least=True)] if ratios else []


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Few and short rounds: to try the script.")
@click.option("--model", "models", type=click.Choice(list(ZOO)), multiple=True, help="Repeatable.")
@click.option("--over", type=click.Choice(["in-process", "grpc"]), multiple=True, help="This way.")
def main(quick: bool, models: tuple[str, ...], over: tuple[str, ...]) -> None:
    """Run them, and print the table."""
    runs = {
        f"{model}, {way}": measured(model, way, quick=quick)
        for model in models or ZOO
        for way in over or ("in-process", "grpc")
    }
    results = [run for run in runs.values() if run is not None]
    figures = figures_of(results)
    console = Console(highlight=False)
    Console(width=max(console.width, TABLE_WIDTH)).print(table_of(figures))
    (BUILD / "bench" / "zoo.md").write_text(markdown_of(figures))
    failed = [name for name, run in runs.items() if run is None]
    failed += [
        f"{run.model}, {run.over}, {strategy.title}: {strategy.unavailable}"
        for run in results
        for strategy in run.strategies
        if strategy.unavailable
    ]
    for line in failed:
        console.print(f"not measured: {line}", markup=False, soft_wrap=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
