"""The installed package and its server: command line, examples, and a served model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from own_models import Affine

from torchdeploy_pkg import Client, InvalidArgumentError, ModelError, Server, package
from torchdeploy_pkg.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

EXAMPLES = Path(__file__).parents[3] / "examples"


@pytest.fixture(scope="module")
def model() -> Affine:
    torch.manual_seed(0)
    return Affine().eval()


@pytest.fixture(scope="module")
def server(model: Affine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    archive = tmp_path_factory.mktemp("served") / "affine.pt"
    package(model, archive, example_inputs=torch.ones(2, 4))
    with Server(archive, interpreters=2, intra_op_threads=1) as running:
        yield running


def test_served_numbers_are_the_models_own(server: Server, model: Affine) -> None:
    x = torch.randn(3, 4)
    with Client(server.url) as client, torch.no_grad():
        answer = client.infer("affine", {"x": x})
        assert np.array_equal(answer["y"], model(x)["y"].numpy())
        assert answer["rows"] == 3


def test_metadata_is_the_manifests(server: Server) -> None:
    with Client(server.url) as client:
        metadata = client.metadata("affine")
    assert [(s.name, s.datatype, s.shape) for s in metadata.inputs] == [("x", "FP32", (-1, 4))]
    assert server.models == ("affine",)


def test_errors_have_their_classes(server: Server) -> None:
    with Client(server.url) as client:
        with pytest.raises(ModelError, match="ValueError: 9") as caught:
            client.infer("affine", {"x": torch.ones(9, 4)})
        assert "in forward" in caught.value.traceback
        with pytest.raises(InvalidArgumentError, match="x"):
            client.infer("affine", {"x": torch.ones(2, 5)})
        with pytest.raises(NotFoundError, match="absent"):
            client.infer("absent", {"x": torch.ones(1, 4)})


def test_command_line_serves_until_sigterm_and_answers(
    server: Server, model: Affine, tmp_path: Path
) -> None:
    del server  # Only that the module's server does not stand in the way.
    archive = tmp_path / "affine.pt"
    package(model, archive, example_inputs=torch.ones(2, 4))
    command = [sys.executable, "-m", "torchdeploy_pkg"]
    serve = [*command, "serve", str(archive), "--interpreters", "1", "--port", "0"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("torchdeploy: serving affine on 127.0.0.1:")
        url = line.split(" on ")[1].split()[0]
        infer = [*command, "infer", url, "affine", "--input", "x=[[1, 2, 3, 4]]", "--json"]
        answer = json.loads(subprocess.run(infer, check=True, capture_output=True).stdout)
        assert answer["rows"] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        ("hello.py", "difference to plain Python 0.0e+00"),
        ("pre_and_post_processing.py", "yes 0.95  a great and nice day"),
        ("custom_operator.py", "difference to plain Python"),
    ],
)
def test_example_runs(example: str, expected: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / example)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout


def test_client_example_runs(server: Server, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "client.py"), server.url, "affine"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "20 answers from 4 threads" in done.stdout
    assert "without inputs: " in done.stdout


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_example_is_short(example: Path) -> None:
    assert len(example.read_text().splitlines()) <= 60
