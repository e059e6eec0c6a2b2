"""A model that writes down how many rows each of its calls has."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from torch import nn


class Noting(nn.Module):
    """A linear layer that takes no rows whose first element is -1."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        with Path(os.environ["ROWS_OF_CALLS"]).open("a") as file:
            file.write(f"{len(x)}\n")
        if (x[:, 0] == -1).any():
            msg = "a row begins with -1"
            raise ValueError(msg)
        return {"y": self.linear(x)}
