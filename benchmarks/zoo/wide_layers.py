"""A model of next to nothing but weights."""

from __future__ import annotations

import torch
from torch import nn

LAYER_MB = 32


class WideLayers(nn.Module):
    """So many megabytes of weights; a call reads all of them."""

    def __init__(self, megabytes: int) -> None:
        super().__init__()
        count = max(1, megabytes // LAYER_MB)
        self.layers = nn.ModuleList(nn.Linear(8192, 1024, bias=False) for _ in range(count))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Shape (batch, 8192) to (batch, 1024), FP32: the sum of all layers."""
        y = x.new_zeros(x.shape[0], 1024)
        for layer in self.layers:
            y += layer(x)
        return y
