"""Models that come and go while a real server serves, asked for by a stock client."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
from counting_model import CountsItsCalls
from torch import nn

from torchdeploy_pkg import Server, package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration

X = np.ones((1, 2), np.float32)


class Constant(nn.Module):
    """Answers the number that it was made with."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.tensor(number), requires_grad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 0 + self.number


def add(models: Path, name: str, version: int, model: nn.Module) -> None:
    path = models / name / str(version) / "model.pt"
    package(model.eval(), path, name=name, example_inputs=torch.ones(1, 2))


def infer(client: triton.InferenceServerClient, model: str) -> triton.InferResult:
    value = triton.InferInput("x", [1, 2], "FP32")
    value.set_data_from_numpy(X)
    return client.infer(model, [value])


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def client(models: Path) -> Iterator[triton.InferenceServerClient]:
    add(models, "constant", 1, Constant(1.0))
    with (
        Server(models, interpreters=2, model_control="explicit") as server,
        triton.InferenceServerClient(server.url) as connected,
    ):
        assert server.models == ()
        yield connected


def test_a_model_is_loaded_asked_and_unloaded(client: triton.InferenceServerClient) -> None:
    assert client.is_server_ready()
    assert not client.is_model_ready("constant")
    client.load_model("constant")
    assert client.is_model_ready("constant")
    assert infer(client, "constant").as_numpy("output").tolist() == [[1.0, 1.0]]
    client.unload_model("constant")
    assert not client.is_model_ready("constant")
    states = {(m.name, m.state, m.reason) for m in client.get_model_repository_index().models}
    assert states == {("constant", "UNAVAILABLE", "unloaded")}


def test_a_new_version_takes_over_and_no_request_fails(
    client: triton.InferenceServerClient, models: Path
) -> None:
    client.load_model("constant", config='{"versions": {"latest": 1}}')
    seen: list[tuple[str, float]] = []
    is_over = threading.Event()

    def ask() -> None:
        while not is_over.is_set():
            result = infer(client, "constant")
            version = result.get_response().model_version
            seen.append((version, float(result.as_numpy("output")[0, 0])))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        for version in (2, 3):
            add(models, "constant", version, Constant(float(version)))
            client.load_model("constant", config='{"versions": {"latest": 1}}')
            assert infer(client, "constant").get_response().model_version == str(version)
    finally:
        is_over.set()
        thread.join()
    assert all(version == str(int(number)) for version, number in seen)
    assert [version for version, _ in seen] == sorted(version for version, _ in seen)


def test_a_model_that_fails_on_its_example_is_not_served(
    client: triton.InferenceServerClient, models: Path
) -> None:
    add(models, "fragile", 1, Fragile())
    client.load_model("fragile", config='{"warmup_calls": 0}')
    client.unload_model("fragile")
    with pytest.raises(triton.InferenceServerException, match=r"the archive's example: .*served"):
        client.load_model("fragile")
    assert not client.is_model_ready("fragile")


class Fragile(nn.Module):
    """Works where it is packaged, and fails in an interpreter of the server."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if hasattr(torch.version, "interp"):
            msg = "not where it is served"
            raise RuntimeError(msg)
        return x


def test_every_replica_is_called_with_the_example_before_it_is_served(
    client: triton.InferenceServerClient, models: Path
) -> None:
    add(models, "counts", 1, CountsItsCalls())
    for calls in (1, 0, 3):
        client.load_model("counts", config=f'{{"warmup_calls": {calls}}}')
        slots = set()
        for _ in range(200):
            result = infer(client, "counts")
            slot = int(result.as_numpy("output_2"))
            if slot not in slots:
                assert result.as_numpy("output_1").tolist() == [calls + 1.0]
                slots.add(slot)
        assert slots
