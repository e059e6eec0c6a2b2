"""Models that give back what they get, in a module of their own: it goes into the archive whole."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class Mirror:
    """Takes inputs by any names, ``self`` included."""

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:
        return kwargs or args


class Mixed(nn.Module):
    """An input of each kind."""

    def forward(
        self, x: torch.Tensor, labels: list[str], blobs: list[bytes], scale: float
    ) -> dict[str, object]:
        return {"y": -x, "labels": labels, "blobs": blobs, "scale": scale, "rows": x.shape[0]}
