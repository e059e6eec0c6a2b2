"""Modules for engines without Python."""

from __future__ import annotations

import numpy as np
import torch


class Scorer(torch.nn.Module):
    """Two tensors in, named ones out; rows do not depend on each other."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(6, 16), torch.nn.GELU(), torch.nn.Linear(16, 3)
        )

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, scale: float = 2.0
    ) -> dict[str, torch.Tensor]:
        logits = self.layers(x * mask) * scale
        return {"logits": logits, "best": logits.argmax(-1)}


class Ramp(torch.nn.Module):
    """TorchScript does not take it, and a trace keeps the number of rows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.from_numpy(np.arange(float(x.shape[0]))).float()[:, None]


class Counting(torch.nn.Module):
    """Counts its calls in a buffer, and has one that is not saved with its state."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: torch.Tensor
        self.shift: torch.Tensor
        self.register_buffer("calls", torch.zeros(1))
        self.register_buffer("shift", torch.full((1,), 100.0), persistent=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls.add_(1)
        return x + self.calls + self.shift


class Texts(torch.nn.Module):
    def forward(self, x: torch.Tensor, text: str) -> dict[str, object]:
        return {"x": x, "text": text.upper()}


class Sorted(torch.nn.Module):
    """Gives a tensor and a text."""

    def forward(self, x: torch.Tensor) -> dict[str, object]:
        return {"x": x.sort().values, "order": "ascending"}


class Pooled(torch.nn.Module):
    """Compiled, it is taken to need two rows."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 8, 3)
        self.linear = torch.nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.linear(self.convolution(x).mean((2, 3)))
        return scores


class Squeezed(Pooled):
    """One row has no dimension of rows."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x)[:, :1].squeeze()


class Branching(torch.nn.Module):
    """One row is treated otherwise."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * 100 if x.shape[0] == 1 else x.relu()


class Window(torch.nn.Module):
    """Needs five steps at least."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = torch.nn.Conv1d(1, 2, kernel_size=5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.convolution(x).relu()
        return found


def scorer() -> Scorer:
    torch.manual_seed(0)
    return Scorer()


def example() -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(3, 6), torch.ones(3, 6)
