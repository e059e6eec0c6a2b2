"""Requests that are joined into one call of a real model."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from noting_model import Noting

from torchdeploy_pkg import Client, ModelError, Server, package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

REQUESTS = 32


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    file = tmp_path_factory.mktemp("notes") / "rows.txt"
    os.environ["ROWS_OF_CALLS"] = str(file)
    yield file
    del os.environ["ROWS_OF_CALLS"]


@pytest.fixture(scope="module")
def server(notes: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    del notes  # Only that the model finds out where to note.
    models = tmp_path_factory.mktemp("models")
    (models / "noting" / "1").mkdir(parents=True)
    torch.manual_seed(0)
    package(Noting().eval(), models / "noting" / "1" / "model.pt", example_inputs=torch.ones(2, 4))
    (models / "noting" / "config.yaml").write_text("batching: {max_size: 8, max_delay_us: 100000}")
    with Server(models, interpreters=1, intra_op_threads=1) as running:
        yield running


def test_concurrent_requests_share_calls_and_get_their_own_rows(
    server: Server, notes: Path
) -> None:
    torch.manual_seed(0)
    model = Noting().eval()
    inputs = [torch.randn(1 + i % 3, 4) for i in range(REQUESTS)]
    notes.write_text("")
    with Client(server.url) as client, ThreadPoolExecutor(REQUESTS) as pool:
        answers = list(pool.map(lambda x: client.infer("noting", {"x": x}), inputs))
    rows = [int(line) for line in notes.read_text().split()]
    assert sum(rows) == sum(len(x) for x in inputs)
    assert max(rows) <= 8
    assert len(rows) < REQUESTS
    with torch.no_grad():
        for x, answer in zip(inputs, answers, strict=True):
            np.testing.assert_allclose(answer["y"], model(x)["y"], rtol=1e-5, atol=1e-6)


def test_a_bad_request_fails_alone(server: Server, notes: Path) -> None:
    def infer(first: float) -> object:
        with Client(server.url) as client:
            try:
                return client.infer("noting", {"x": torch.full((1, 4), first)})["y"].shape
            except ModelError as exc:
                return exc.type_name

    notes.write_text("")
    with ThreadPoolExecutor(3) as pool:
        for _ in range(20):
            assert list(pool.map(infer, [1.0, -1.0, 2.0])) == [(1, 2), "ValueError", (1, 2)]
    rows = [int(line) for line in notes.read_text().split()]
    assert max(rows) > 1, "nothing was joined"
