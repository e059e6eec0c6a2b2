"""A model that writes to its own state."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CountsItsCalls(nn.Module):
    """Writes to a buffer at each call, and says in which interpreter it runs."""

    calls: Tensor

    def __init__(self, inner: nn.Module | None = None) -> None:
        super().__init__()
        self.inner = inner or nn.Identity()
        self.register_buffer("calls", torch.zeros(1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, int]:
        self.calls += 1
        return self.inner(x), self.calls.clone(), getattr(torch.version, "interp", -1)
