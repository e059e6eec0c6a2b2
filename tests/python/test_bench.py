"""The parts of ``torchdeploy bench`` that need no interpreters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from bench_models import Account
from click.testing import CliRunner

from torchdeploy_pkg.bench import command
from torchdeploy_pkg.bench.actor import Actor, ActorError
from torchdeploy_pkg.bench.measure import thread_counts
from torchdeploy_pkg.bench.results import Point, Results, Start, StrategyResults
from torchdeploy_pkg.bench.values import difference, portable, rows_of
from torchdeploy_pkg.cli import main
from torchdeploy_pkg.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 30.0


@pytest.fixture(autouse=True)
def _models_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Actor]:
    actor = Actor(tmp_path / "log", Account, 5)
    actor.receive(TIMEOUT_S)
    yield actor
    actor.stop()


def point(threads: int, rows: int, rows_per_s: list[float]) -> Point:
    return Point(threads, rows, 10, rows_per_s, 1.0, 2.0, 3.0)


def results() -> Results:
    one = StrategyResults("interpreter", "1 interpreter", starts=[Start(1, 1.5, 200.0)])
    one.points = [point(1, 1, [10.0, 20.0])]
    many = StrategyResults("interpreters", "n interpreters")
    many.starts = [Start(1, 1.5, 200.0), Start(2, 2.0, 300.0)]
    many.points = [point(2, 1, [19.0, 42.0])]
    missing = StrategyResults("torchscript", "TorchScript", unavailable="no source")
    return Results("net", "grpc", 2, [1], 2, 0.5, {"cores": "2"}, [one, many, missing], ["traced"])


def test_an_object_in_another_process_keeps_its_state_between_calls(account: Actor) -> None:
    assert account.call("add", 2, timeout_s=TIMEOUT_S) == 7
    assert account.call("add", 3, timeout_s=TIMEOUT_S) == 10


def test_what_it_raises_is_an_error_here_and_it_lives_on(account: Actor) -> None:
    with pytest.raises(ActorError, match="KeyError: 'no such luck'"):
        account.call("fail", timeout_s=TIMEOUT_S)
    assert account.call("add", 1, timeout_s=TIMEOUT_S) == 6


def test_what_cannot_be_made_is_the_error_of_the_first_answer(tmp_path: Path) -> None:
    actor = Actor(tmp_path / "log", Account, -1)
    with pytest.raises(ActorError, match="balance is -1"):
        actor.receive(TIMEOUT_S)
    actor.stop()


def test_a_process_that_ends_is_an_error_with_its_last_words(account: Actor) -> None:
    with pytest.raises(ActorError, match="status 3: last words"):
        account.call("die", timeout_s=TIMEOUT_S)
    with pytest.raises(ActorError, match="status 3"):
        account.call("add", 1, timeout_s=TIMEOUT_S)


def test_a_call_that_takes_too_long_is_an_error(tmp_path: Path) -> None:
    actor = Actor(tmp_path / "log", Account, 1)
    with pytest.raises(DeadlineExceededError, match=r"no answer within 0\.001 s"):
        actor.receive(0.001)
    actor.stop()


def test_the_object_is_closed_at_the_end(account: Actor, tmp_path: Path) -> None:
    account.stop()
    assert (tmp_path / "log").read_text() == "closed\n"


def test_answers_are_the_same_up_to_rounding() -> None:
    expected = {"y": np.array([1000.0, 0.0, np.nan], np.float32), "best": np.array([3])}
    close = {"y": torch.tensor([1000.5, 0.0, torch.nan]), "best": np.array([3])}
    assert difference(expected, close) == ""
    far = {"y": np.array([1002.0, 0.0, np.nan], np.float32), "best": np.array([3])}
    assert difference(expected, far) == "'y' differs by more than 1"
    small = np.full(2000, 5e-4, np.float32)
    assert difference({"y": small}, {"y": 0 * small}) == "'y' differs by more than 1.5e-06"
    assert difference(expected, {**close, "best": np.array([4])}) == "'best' has other values"


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({}, "it gives nothing; expected y"),
        ({"z": np.ones(2)}, "it gives z; expected y"),
        ({"y": np.ones(3)}, "'y' has shape [3]; expected [2]"),
        ({"y": np.array([1.0, np.nan])}, "'y' differs by more than 0.001"),
        ({"y": np.ones(2, np.float32)}, "'y' is float32; expected float64"),
    ],
)
def test_answers_that_differ_are_told_apart(found: dict[str, np.ndarray], message: str) -> None:
    assert difference({"y": np.ones(2)}, found) == message


def test_texts_and_bfloat16_are_compared_too() -> None:
    half = torch.tensor([1.0, 2.0], dtype=torch.bfloat16)
    rounded = np.array([1.0078125, 2.0], np.float32)  # As a client has it.
    assert isinstance(portable(half), torch.Tensor)
    assert isinstance(portable(half.float()), np.ndarray)
    found = {"t": np.array([b"a"], object), "h": rounded}
    assert difference({"t": [b"a"], "h": half}, found) == ""
    assert "differs" in difference({"h": half}, {"h": rounded + 0.5})
    assert difference({"t": [b"a"]}, {"t": [b"b"]}) == "'t' has other values"


def test_rows_are_those_of_the_example_again_and_again() -> None:
    assert rows_of(torch.tensor([[1], [2]]), 3).tolist() == [[1], [2], [1]]
    assert rows_of([b"a", b"b"], 1) == [b"a"]


def test_results_are_the_same_after_json() -> None:
    assert Results.from_json(results().to_json()) == results()


def test_ratios_are_those_within_each_round() -> None:
    found = results()
    assert found.ratios(("interpreters", 2), ("interpreter", 1), rows=1) == [1.9, 2.1]
    assert found.ratios(("torchscript", 2), ("interpreter", 1), rows=1) == []
    start = found.start("interpreters")
    assert start is not None
    assert start.pss_mb == 300.0


@pytest.mark.parametrize(
    ("n", "counts"), [(1, [1]), (2, [1, 2]), (6, [1, 2, 4, 6]), (8, [1, 2, 4, 8])]
)
def test_threads_are_doubled_up_to_n(n: int, counts: list[int]) -> None:
    assert thread_counts(n) == counts


def test_plots_without_matplotlib_are_refused_before_anything_is_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(command, "find_spec", lambda _name: None)
    told = CliRunner().invoke(main, ["bench", "net.pt", "--output", str(tmp_path / "figures")])
    assert told.exit_code == 1
    assert "pip install torchdeploy-pkg[bench]" in told.output
