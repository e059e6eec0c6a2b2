"""Handlers as users write them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Scale:
    """All three steps; made with the model."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.made_in_training = model.training

    def preprocess(self, inputs: dict[str, Any]) -> Tensor:
        return torch.tensor([[float(word) for word in row.split()] for row in inputs["text"]])

    def inference(self, data: Tensor) -> Tensor:
        y: Tensor = self.model(data)
        return y

    def postprocess(self, result: Tensor) -> dict[str, Any]:
        return {"sum": result.sum(-1), "text": [f"{value:.1f}" for value in result.sum(-1)]}


class OnlyPost:
    """One step, and a constructor without arguments."""

    def postprocess(self, result: Tensor) -> Tensor:
        return result.round()


class Labels:
    """An instance of it carries data."""

    def __init__(self, labels: list[str]) -> None:
        self.labels = labels

    def postprocess(self, result: Tensor) -> list[str]:
        return [self.labels[int(index)] for index in result.argmax(-1)]


class TorchServeStyle:
    """What TorchServe asks of a handler that has no base class."""

    def __init__(self) -> None:
        self.initialized = False

    def initialize(self, context: Any) -> None:
        assert context.system_properties["gpu_id"] is None
        self.name = context.manifest["model"]["modelName"]
        self.initialized = True

    def handle(self, data: list[dict[str, Any]], context: Any) -> list[Any]:
        assert self.initialized
        assert context.get_request_header(0, "explain") is None
        rows = [[float(word) for word in row["data"].decode().split()] for row in data]
        result = self.model(torch.tensor(rows))  # type: ignore[attr-defined]
        return [{"model": self.name, "values": row.tolist()} for row in result]


class ReadsFiles(TorchServeStyle):
    def initialize(self, context: Any) -> None:
        with open(context.system_properties["model_dir"] + "/vocab.txt") as file:  # noqa: PTH123
            file.read()
