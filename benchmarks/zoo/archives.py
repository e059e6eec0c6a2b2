"""The zoo: which models there are, and their archives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from torchdeploy_pkg import package
from zoo import encoders, vision
from zoo.gpt2 import VOCABULARY, Gpt2
from zoo.recommender import DENSE, ROWS, SPARSE, Dlrm
from zoo.recurrent import FEATURES, SequenceClassifier
from zoo.tiny_layers import TinyLayers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

_IMAGE = (1, 3, 128, 128)
_TEXT = (1, 32)  # Tokens.
_PROMPT = (1, 16)
_STEPS = 32


@dataclass(frozen=True)
class ZooModel:
    """A model, and one row of what it takes: a tuple by position."""

    name: str
    build: Callable[[], nn.Module]
    example: Callable[[], tuple[torch.Tensor, ...]]

    def write(self, path: Path) -> None:
        """Package it; its weights are the same each time."""
        torch.manual_seed(0)
        model = self.build().eval()
        package(model, path, name=self.name, example_inputs=self.example())


def _tokens(*shape: int) -> tuple[torch.Tensor, ...]:
    return (torch.randint(VOCABULARY // 2, shape),)


def _features() -> tuple[torch.Tensor, ...]:
    return torch.randn(1, DENSE), torch.randint(ROWS, (1, SPARSE))


ZOO: dict[str, ZooModel] = {
    model.name: model
    for model in (
        ZooModel("resnet18", vision.resnet18, lambda: (torch.randn(_IMAGE),)),
        ZooModel("resnet50", vision.resnet50, lambda: (torch.randn(_IMAGE),)),
        ZooModel("bert_base", encoders.bert_base, lambda: _tokens(*_TEXT)),
        ZooModel("minilm", encoders.minilm, lambda: _tokens(*_TEXT)),
        ZooModel("gpt2", Gpt2, lambda: _tokens(*_PROMPT)),
        ZooModel("dlrm", Dlrm, _features),
        ZooModel("lstm", SequenceClassifier, lambda: (torch.randn(1, _STEPS, FEATURES),)),
        ZooModel("tiny_layers", TinyLayers, lambda: (torch.randn(1, 16),)),
    )
}
