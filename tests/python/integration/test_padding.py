"""Requests of different lengths that share calls of real models."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
from averaging_model import Averaging
from transformers import BertConfig, BertModel

from torchdeploy_pkg import Server, package

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    Arrays = dict[str, npt.NDArray[Any]]

pytestmark = pytest.mark.integration

LENGTHS = [3, 17, 5, 9, 1, 12, 5, 8]
WIDTH = 32

BERT = """
batching:
  max_size: 8
  max_delay_us: 20000000
  padding:
    input_ids: {dimension: 1, value: 0}
    attention_mask: {dimension: 1, value: 0}
  trimming:
    last_hidden_state: {dimension: 1, as: input_ids}
"""
AVERAGING = """
batching:
  max_size: 8
  max_delay_us: 20000000
  padding:
    frames: {dimension: 1, value: .nan, lengths: lengths}
"""


def bert() -> torch.nn.Module:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=64,
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    model: torch.nn.Module = BertModel(config)
    return model.eval()


def tokens(length: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(length)
    ids = torch.randint(1, 64, (1, length), generator=generator)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    models = tmp_path_factory.mktemp("models")
    for name, config in {"bert": BERT, "averaging": AVERAGING}.items():
        (models / name / "1").mkdir(parents=True)
        (models / name / "config.yaml").write_text(config)
    example = {name: tensor.repeat(2, 1) for name, tensor in tokens(7).items()}
    package(bert(), models / "bert/1/model.pt", example_inputs=example)
    frames = {"frames": torch.randn(2, 7, 4), "lengths": torch.tensor([7, 7])}
    package(Averaging().eval(), models / "averaging/1/model.pt", example_inputs=frames)
    with Server(models, interpreters=1, intra_op_threads=1) as server:
        yield server.url


def infer_all(url: str, model: str, requests: list[dict[str, torch.Tensor]]) -> list[Arrays]:
    """The answers to requests that are under way at once."""

    def infer(inputs: dict[str, torch.Tensor]) -> Arrays:
        sent = []
        for name, tensor in inputs.items():
            array = tensor.numpy()
            datatype = "INT64" if array.dtype == np.int64 else "FP32"
            sent.append(triton.InferInput(name, array.shape, datatype))
            sent[-1].set_data_from_numpy(array)
        result = client.infer(model, sent)
        names = [output.name for output in result.get_response().outputs]
        return {name: result.as_numpy(name) for name in names}

    with triton.InferenceServerClient(url) as client, ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(infer, requests))


def rows_of_calls(url: str, model: str) -> list[int]:
    with triton.InferenceServerClient(url) as client:
        statistics = client.get_inference_statistics(model).model_stats[0]
    return [batch.batch_size for batch in statistics.batch_stats]


def test_texts_of_different_lengths_get_in_one_call_what_they_get_alone(url: str) -> None:
    model = bert()
    requests = [tokens(length) for length in LENGTHS]
    answers = infer_all(url, "bert", requests)
    assert rows_of_calls(url, "bert") == [len(LENGTHS)]
    for length, inputs, answer in zip(LENGTHS, requests, answers, strict=True):
        assert answer["last_hidden_state"].shape == (1, length, WIDTH)
        with torch.no_grad():
            alone = model(**inputs)
        for name, array in answer.items():
            np.testing.assert_allclose(array, alone[name].numpy(), rtol=1e-4, atol=1e-5)


def test_a_model_that_wants_lengths_gets_those_of_each_row(url: str) -> None:
    torch.manual_seed(0)
    requests = [{"frames": torch.randn(1, length, 4)} for length in LENGTHS]
    answers = infer_all(url, "averaging", requests)
    assert rows_of_calls(url, "averaging") == [len(LENGTHS)]
    for inputs, answer in zip(requests, answers, strict=True):
        frames = inputs["frames"].numpy()
        assert answer["lengths_seen"].tolist() == [frames.shape[1]]
        np.testing.assert_allclose(answer["mean"], frames.mean(1), rtol=1e-5, atol=1e-6)


def test_clients_are_not_asked_for_the_lengths(url: str) -> None:
    with triton.InferenceServerClient(url) as client:
        metadata = client.get_model_metadata("averaging")
        config = client.get_model_config("averaging").config
    assert [tensor.name for tensor in metadata.inputs] == ["frames"]
    assert [tensor.name for tensor in config.input] == ["frames"]
    assert list(config.input[0].dims) == [-1, -1]
