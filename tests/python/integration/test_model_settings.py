"""What config.yaml asks of a model's calls, in real interpreters."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
from own_models import Modes, Placed
from tritonclient.utils import InferenceServerException

from torchdeploy_pkg import Client, Server, package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


class AddsOne:
    """A handler, so that what is called is no module."""

    def postprocess(self, result: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        return {"one_more": result["doubled"] + 1}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    models = tmp_path_factory.mktemp("models")
    for name, settings in (
        ("plain", ""),
        ("inference", "inference_mode: true"),
        ("compiled", "torch_compile: {backend: aot_eager, fullgraph: true}"),
    ):
        add(models, name, settings)
    # A device that is in every torch, and none of whose numbers can be asked for.
    placed = models / "placed/1/model.pt"
    package(Placed().eval(), placed, name="placed", example_inputs=torch.ones(1, 2))
    (models / "placed/config.yaml").write_text("{device: [cpu, meta], warmup_calls: 0}")
    add(models, "absent", "device: cuda:99")
    add(models, "handled", "torch_compile: {backend: aot_eager}", handler=AddsOne)
    add(models, "mistaken", "torch_compile: {backend: unheard_of}")
    with Server(
        models,
        interpreters=2,
        model_control="explicit",
        load_model=["plain", "inference", "compiled", "placed"],
    ) as started:
        yield started


def add(models: Path, name: str, settings: str, handler: type | None = None) -> None:
    path = models / name / "1" / "model.pt"
    package(Modes().eval(), path, name=name, example_inputs=torch.ones(1, 2), handler=handler)
    (models / name / "config.yaml").write_text(settings)


@pytest.mark.parametrize(
    ("model", "inference", "compiled"),
    [("plain", False, False), ("inference", True, False), ("compiled", False, True)],
)
def test_a_model_runs_as_its_settings_say(
    server: Server, model: str, inference: bool, compiled: bool
) -> None:
    x = np.ones((1, 2), np.float32)
    with Client(server.url) as client:
        for _ in range(4):  # In both interpreters.
            answer = client.infer(model, {"x": x})
            assert np.array_equal(answer["doubled"], 2 * x)
            assert (bool(answer["inference"]), bool(answer["compiled"])) == (inference, compiled)


def test_interpreters_take_the_devices_in_turn(server: Server) -> None:
    x = np.ones((1, 2), np.float32)

    def places(_: int) -> tuple[str, ...]:
        with Client(server.url) as client:
            answer = client.infer("placed", {"x": x})["places"]
        return tuple(place.decode() for place in answer)

    with ThreadPoolExecutor(8) as threads:
        seen = set(threads.map(places, range(100)))
    assert seen == {("cpu", "cpu"), ("meta", "meta")}


@pytest.mark.parametrize(
    ("model", "why"),
    [
        ("handled", "torch.nn.Module"),
        ("mistaken", "unheard_of"),
        ("absent", "device 'cuda:99': "),
    ],
)
def test_what_cannot_be_had_is_not_loaded(server: Server, model: str, why: str) -> None:
    with (
        triton.InferenceServerClient(server.url) as client,
        pytest.raises(InferenceServerException, match=why),
    ):
        client.load_model(model)
