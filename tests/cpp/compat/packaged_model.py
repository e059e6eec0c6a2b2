"""A model that is packaged for the tests of torch::deploy's API."""

from __future__ import annotations

import torch


class Scaler(torch.nn.Module):
    """Multiplies by its weight, which the caller can see."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.full((4,), 3.0), requires_grad=False)
        self.calls = 0

    def forward(self, x: torch.Tensor, factor: float = 1.0, *, bias: float = 0.0) -> torch.Tensor:
        self.calls += 1
        return x * self.weight * factor + bias

    def calls_here(self) -> int:
        return self.calls

    def refuse(self) -> None:
        message = "not today"
        raise ValueError(message)
