"""Models that yield their answers."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


class Counts(nn.Module):
    """Yields as many numbers as are asked for, by the weights of a layer."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))

    def forward(self, n: torch.Tensor) -> Iterator[dict[str, torch.Tensor]]:
        """Item k is 2 * k."""
        try:
            for k in range(int(n[0])):
                if k == 7:
                    msg = "seven"
                    raise ValueError(msg)
                yield {"number": self.scale * k}
        finally:
            note("closed")


class CountsInTurns(nn.Module):
    """The same, asynchronously."""

    async def forward(self, n: torch.Tensor) -> AsyncIterator[tuple[torch.Tensor, str]]:
        """A number and a text each time."""
        try:
            for k in range(int(n[0])):
                await asyncio.sleep(0.001)
                yield torch.tensor(k), f"item {k}"
        finally:
            await asyncio.sleep(0)
            note("closed")


def note(line: str) -> None:
    """Say what happened, where the test looks for it."""
    if "NOTES_OF_YIELDING" in os.environ:
        with Path(os.environ["NOTES_OF_YIELDING"]).open("a") as notes:
            notes.write(line + "\n")
