"""Compares this server with others; see docs/benchmarks.md.

Writes `build/bench/peers.json` and `build/bench/peers.md`. Ends with 1 if any side failed.
"""

from __future__ import annotations

import json
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

# Before what imports load, figures, models and zoo, which all benchmarks share.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import click
from environments import install
from figures import BUILD
from footprint import measure_load, measure_memory, measure_ready
from grpcio_side import GrpcioSide
from litserve_side import LitServeSide
from pytriton_side import PytritonSide
from ray_serve_side import RayServeSide
from report import report_of
from results import QUICK, Plan
from rich.console import Console
from session import Session
from throughput import measure_throughput
from torchdeploy_side import TorchdeploySide
from torchscript_side import TorchScriptSide
from torchserve_side import TorchServeSide
from workloads import MINILM, THROUGHPUT, Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from side import Side

SIDES: dict[str, Side] = {
    side.name: side
    for side in (
        TorchdeploySide(),
        TorchServeSide(),
        PytritonSide(),
        RayServeSide(),
        LitServeSide(),
        GrpcioSide(),
        TorchScriptSide(),
    )
}


def _of(workload: Workload, *, is_joined: bool = False) -> Callable[..., None]:
    def measure(session: Session, sides: Sequence[Side]) -> None:
        measure_throughput(session, sides, workload, is_joined=is_joined)

    return measure


MEASURES = {
    **{workload.name: _of(workload) for workload in THROUGHPUT},
    "minilm_joined": _of(MINILM, is_joined=True),
    "memory": measure_memory,
    "ready": measure_ready,
    "load": measure_load,
}


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="One short round with small models, of everything.")
@click.option("--side", "names", type=click.Choice(list(SIDES)), multiple=True)
@click.option("--measure", "measures", type=click.Choice(list(MEASURES)), multiple=True)
def main(quick: bool, names: tuple[str, ...], measures: tuple[str, ...]) -> None:
    """Install what is missing, measure, and write the report."""
    console = Console(highlight=False)
    begin = time.perf_counter()

    def say(what: str) -> None:
        console.print(f"{time.perf_counter() - begin:6.0f} s  {what}", markup=False, soft_wrap=True)

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # So that blocks end what they started.
    sides = [SIDES[name] for name in names or SIDES]
    with tempfile.TemporaryDirectory(prefix="peers-") as folder:
        session = Session(Path(folder), QUICK if quick else Plan(), say)
        for side in list(sides):
            say(f"install {side.name}")
            with session.failing_alone("install", side):
                if side.environment is not None:
                    install(side.environment)
        for name in measures or MEASURES:
            MEASURES[name](session, sides)
            _write(session, sides, quick=quick)
    say(f"written: {BUILD / 'bench' / 'peers.md'}")
    sys.exit(1 if session.results.failures else 0)


def _write(session: Session, sides: Sequence[Side], *, quick: bool) -> None:
    folder = BUILD / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    settings = {side.name: side.settings for side in sides}
    document = {
        "quick": quick,
        "plan": asdict(session.plan),
        "settings": settings,
        **asdict(session.results),
    }
    (folder / "peers.json").write_text(json.dumps(document, indent=2) + "\n")
    report = report_of(session.results, sides, session.plan, quick=quick)
    (folder / "peers.md").write_text(report)


if __name__ == "__main__":
    main()
