"""Models that yield, from their archive to a stock client."""

from __future__ import annotations

import queue
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
from torch.package.package_importer import PackageImporter
from yielding_models import Counts, CountsInTurns

from torchdeploy_pkg import Client, ModelError, Server, inspect_archive, package
from torchdeploy_pkg.errors import StatusError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

FEW = torch.tensor([5])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, model in (("counts", Counts()), ("turns", CountsInTurns())):
        package(model.eval(), folder / name / "1" / "model.pt", name=name, example_inputs=FEW)
    return folder


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("notes") / "lines.txt"


@pytest.fixture(scope="module")
def server(models: Path, notes: Path) -> Iterator[Server]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NOTES_OF_YIELDING", str(notes))
        with Server(models, interpreters=2) as running:
            yield running


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[Client]:
    with Client(server.url) as connected:
        yield connected


def closed(notes: Path) -> int:
    return notes.read_text().count("closed") if notes.exists() else 0


def test_the_archive_says_so_and_iterates_in_plain_python(models: Path) -> None:
    path = models / "counts" / "1" / "model.pt"
    manifest = inspect_archive(path)
    assert manifest is not None
    assert manifest.yields
    assert manifest.batch_dimension is None
    assert [spec.name for spec in manifest.outputs] == ["number"]
    entry = PackageImporter(str(path)).load_pickle("torchdeploy", "entry.pkl")
    assert [float(item["number"]) for item in entry(n=FEW)] == [0, 2, 4, 6, 8]


def test_each_item_is_an_answer(client: Client) -> None:
    numbers = [float(item["number"]) for item in client.stream("counts", {"n": FEW})]
    assert numbers == [0, 2, 4, 6, 8]
    items = list(client.stream("turns", {"n": FEW}))
    assert [int(item["output_0"]) for item in items] == [0, 1, 2, 3, 4]
    assert [item["output_1"][0] for item in items] == [f"item {k}".encode() for k in range(5)]


def test_an_exception_comes_after_the_items_before_it(client: Client) -> None:
    seen: list[float] = []
    items = client.stream("counts", {"n": torch.tensor([9])})
    with pytest.raises(ModelError, match="seven") as caught:
        seen.extend(float(item["number"]) for item in items)
    assert caught.value.type_name == "ValueError"
    assert seen == [2.0 * k for k in range(7)]


@pytest.mark.parametrize("model", ["counts", "turns"])
def test_a_client_that_leaves_closes_the_generator(client: Client, notes: Path, model: str) -> None:
    before = closed(notes)
    for _ in client.stream(model, {"n": torch.tensor([7 if model == "counts" else 10**6])}):
        break
    deadline = time.monotonic() + 10
    while closed(notes) == before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert closed(notes) == before + 1


def test_one_answer_is_refused(client: Client) -> None:
    with pytest.raises(StatusError, match="ModelStreamInfer"):
        client.infer("counts", {"n": FEW})


def test_tritonclient_reads_a_decoupled_model(server: Server) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    with triton.InferenceServerClient(server.url) as stock:
        config = stock.get_model_config("counts").config
        assert config.model_transaction_policy.decoupled
        stock.start_stream(lambda result, error: answers.put((result, error)))
        value = triton.InferInput("n", [1], "INT64")
        value.set_data_from_numpy(np.array([3]))
        stock.async_stream_infer("counts", [value], enable_empty_final_response=True)
        numbers = []
        while True:
            result, error = answers.get(timeout=30)
            assert error is None
            response = result.get_response()
            if response.parameters["triton_final_response"].bool_param:
                break
            numbers.append(float(result.as_numpy("number")))
        stock.stop_stream()
    assert numbers == [0, 2, 4]
