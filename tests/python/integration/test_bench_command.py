"""``torchdeploy bench``: every strategy, on real interpreters, servers and compilers."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from bench_models import Dice, Mortal, Scorer, Shouting, Total
from click.testing import CliRunner

from torchdeploy_pkg import package
from torchdeploy_pkg.bench.results import Results
from torchdeploy_pkg.bench.strategies import STRATEGIES
from torchdeploy_pkg.cli import main

if TYPE_CHECKING:
    from click.testing import Result

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]


def servers_below(folder: Path) -> list[Path]:
    """Processes whose command names a file in the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if f"{folder}/".encode() in process.read_bytes():
                found.append(process)
    return found


SHORT = ("--rounds", "2", "--seconds", "0.05", "--interpreters", "2")


@pytest.fixture(scope="module")
def scorer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("bench") / "scorer.pt"
    package(Scorer().eval(), path, example_inputs=torch.randn(3, 6))
    return path


def bench(archive: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["bench", str(archive), *SHORT, *arguments])


@pytest.mark.parametrize("over", ["in-process", "grpc"])
def test_every_strategy_is_measured_after_its_answers_were_compared(
    scorer: Path, tmp_path: Path, over: str
) -> None:
    told = bench(
        scorer, "--over", over, "--rows", "1", "--rows", "2", "--output", str(tmp_path / "figures")
    )
    assert told.exit_code == 0, told.output
    results = Results.from_json((tmp_path / "figures/results.json").read_text())
    assert (results.model, results.over, results.rows) == ("scorer", over, [1, 2])
    assert [strategy.name for strategy in results.strategies] == list(STRATEGIES)
    for strategy in results.strategies:
        assert strategy.unavailable == "", strategy.name
        measured = {(point.threads, point.rows) for point in strategy.points}
        assert measured == {(1, 1), (2, 1), (2, 2)}, strategy.name
        assert all(len(point.rows_per_s) == 2 and point.calls > 0 for point in strategy.points)
        assert all(0 < p.p50_ms <= p.p90_ms <= p.p99_ms for p in strategy.points)
        assert f"│ {strategy.title} " in told.output
        assert all(s.ready_s > 0.1 and s.pss_mb > 20 for s in strategy.starts), strategy.name
    replicas = {s.name: [start.replicas for start in s.starts] for s in results.strategies}
    assert replicas["interpreters"] == replicas["processes"] == [1, 2, 4]
    assert replicas["interpreter"] == [1]
    assert replicas["torchscript"] == [2]
    for name in ("throughput", "latency", "load_time", "memory"):
        assert (tmp_path / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (tmp_path / f"figures/{name}.svg").read_text()


def test_a_model_that_answers_otherwise_is_not_timed_and_the_command_fails(
    tmp_path: Path,
) -> None:
    archive = tmp_path / "dice.pt"
    package(Dice().eval(), archive, example_inputs=torch.zeros(1, 2))
    told = bench(archive, "--strategy", "interpreters")
    assert told.exit_code == 1
    assert "its answer is not that of plain Python: 'output' differs by more than" in told.output
    assert "a strategy failed" in told.output


def test_a_model_that_ends_its_process_fails_alone_and_so_does_the_command(
    tmp_path: Path,
) -> None:
    archive = tmp_path / "mortal.pt"
    package(Mortal().eval(), archive, example_inputs=torch.zeros(1, 2))
    told = bench(archive, "--strategy", "processes", "--strategy", "torchscript", "--rows", "1")
    assert told.exit_code == 1
    assert "n processes: not measured: its process ended with status 7" in told.output
    assert "│ TorchScript " in told.output


def test_nothing_is_left_of_a_benchmark_that_is_ended(
    scorer: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = [sys.executable, "-m", "torchdeploy_pkg", "bench", str(scorer), "--over", "grpc"]
    command += ["--strategy", "processes", "--seconds", "60"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        deadline = time.monotonic() + 120
        while not servers_below(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert servers_below(tmp_path)
        process.terminate()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert not servers_below(tmp_path)
    assert not list(tmp_path.glob("torchdeploy-bench-*"))


def test_what_an_engine_cannot_run_is_said_and_the_others_are_measured(tmp_path: Path) -> None:
    archive = tmp_path / "shouting.pt"
    package(Shouting().eval(), archive, example_inputs=(["a", "b"],))
    told = bench(archive, "--strategy", "processes", "--strategy", "torchscript", "--rows", "1")
    assert told.exit_code == 0, told.output
    assert "TorchScript: not measured: PackagingError: input 'texts' is no tensor" in told.output
    assert "n processes" in told.output


def test_requests_that_cannot_be_joined_are_as_in_the_example(tmp_path: Path) -> None:
    archive = tmp_path / "total.pt"
    package(Total().eval(), archive, example_inputs=torch.ones(3, 2))
    told = bench(
        archive, "--strategy", "processes", "--rows", "4", "--output", str(tmp_path / "figures")
    )
    assert told.exit_code == 0, told.output
    assert Results.from_json((tmp_path / "figures/results.json").read_text()).rows == [1]


def test_an_archive_without_an_example_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "scorer.pt"
    package(Scorer().eval(), archive)
    told = bench(archive)
    assert told.exit_code == 1
    assert "there is no example in it to ask for: give an eager archive that was" in told.output
