"""A model of many small layers: nearly all of its time is Python's own."""

from __future__ import annotations

import torch
from torch import nn

LAYERS = 500  # About 10 ms a call.


class TinyLayers(nn.Module):
    """Many layers with next to no arithmetic: what Python itself costs."""

    def __init__(self, layers: int = LAYERS) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (batch, 16) to (batch, 16), FP32."""
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x
