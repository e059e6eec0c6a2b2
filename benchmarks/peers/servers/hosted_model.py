"""The model as a peer's worker has it: which one, and how it is called, is in the environment."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

import torch
from workloads import Array, Request, answers_of, by_name, model_from_file, plain_model

if TYPE_CHECKING:
    from collections.abc import Sequence

# Tensors over a request's own bytes spare a copy; no model here writes to its input.
warnings.filterwarnings("ignore", "The given NumPy array is not writable")

WORKLOAD = by_name(os.environ["PEER_WORKLOAD"])
PORT = int(os.environ["PEER_PORT"])
REPLICAS = int(os.environ["PEER_REPLICAS"])
MAX_BATCH = int(os.environ["PEER_MAX_BATCH"])
MAX_DELAY_MS = float(os.environ["PEER_MAX_DELAY_MS"])


class HostedModel:
    """The workload's model, ready to be called."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        weights = os.environ.get("PEER_WEIGHTS")
        self._model = model_from_file(WORKLOAD, weights) if weights else plain_model(WORKLOAD)

    def __call__(self, requests: Sequence[Request]) -> list[Array]:
        """The answer to each request, from one call of the model."""
        return answers_of(self._model, WORKLOAD, requests)
