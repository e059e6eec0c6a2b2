"""Models for the in-process tests, in a module of their own: it goes into the archive whole."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import nn


class Mlp(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(8, 32), nn.GELU(), nn.Linear(32, 4))

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        y: torch.Tensor = self.layers(x)
        return y * scale


class Echo(nn.Module):
    """Gives back what it gets, keeps what it is told to, fails and sleeps on demand."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: Any = None
        self.total: torch.Tensor = nn.Buffer(torch.zeros(2))

    def forward(self, *args: Any, do: str = "echo", **kwargs: Any) -> Any:
        if kwargs:
            return kwargs
        if do != "echo":
            return getattr(self, do)(*args)
        return args[0] if len(args) == 1 else args

    def fail(self, key: object) -> None:
        raise KeyError(key)

    def exit(self) -> None:
        raise SystemExit(3)

    def sleep(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds

    def keep(self, value: object) -> None:
        self.kept = value

    def add(self, value: torch.Tensor) -> torch.Tensor:
        return self.total.add_(value)

    def as_bfloat16(self, value: torch.Tensor) -> torch.Tensor:
        return value.bfloat16()

    def names(self, *values: object) -> list[str]:
        return [type(value).__module__ + "." + type(value).__qualname__ for value in values]
