"""What config.yaml asks of a model's calls, in real interpreters."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
from own_models import Modes
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
    add(models, "handled", "torch_compile: {backend: aot_eager}", handler=AddsOne)
    add(models, "mistaken", "torch_compile: {backend: unheard_of}")
    with Server(
        models,
        interpreters=2,
        model_control="explicit",
        load_model=["plain", "inference", "compiled"],
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


@pytest.mark.parametrize(
    ("model", "why"), [("handled", "torch.nn.Module"), ("mistaken", "unheard_of")]
)
def test_what_cannot_be_compiled_is_not_loaded(server: Server, model: str, why: str) -> None:
    with (
        triton.InferenceServerClient(server.url) as client,
        pytest.raises(InferenceServerException, match=why),
    ):
        client.load_model(model)
