"""The workload's model in TorchScript, saved to a file and loaded from it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch
from hosted_model import WORKLOAD
from torch import nn
from workloads import Array, Request, model_from_file, plain_model


class ScriptedModel:
    """Called with a request as plain Python is."""

    def __init__(self) -> None:
        weights = os.environ.get("PEER_WEIGHTS")
        model = model_from_file(WORKLOAD, weights) if weights else plain_model(WORKLOAD)
        self._tokenize = model.tokenize if WORKLOAD.is_text else None
        scripted = _traced(model) if WORKLOAD.is_text else torch.jit.script(model)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.pt"
            torch.jit.save(scripted, path)
            del model, scripted
            self._model = torch.jit.load(path)

    def __call__(self, request: Request) -> Array:
        """The answer, with one row."""
        with torch.inference_mode():
            if isinstance(request, str):
                features = self._tokenize([request])
                answer = self._model(features["input_ids"], features["attention_mask"])
            else:
                answer = self._model(torch.from_numpy(request))
        array: Array = answer.numpy()
        return array


class _Embedding(nn.Module):
    """What is left of a SentenceTransformer when its texts have become tokens."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Tokens of (batch, length) to (batch, 384)."""
        features = {"input_ids": input_ids, "attention_mask": attention_mask}
        embedding: torch.Tensor = self.model(features)["sentence_embedding"]
        return embedding


def _traced(model: Any) -> torch.jit.ScriptModule:
    features = model.tokenize([str(WORKLOAD.requests[0])])
    example = (features["input_ids"], features["attention_mask"])
    with torch.inference_mode():
        return torch.jit.trace(_Embedding(model), example)
