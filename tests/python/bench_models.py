"""Models for ``torchdeploy bench``."""

from __future__ import annotations

import os
import sys

import torch


class Scorer(torch.nn.Module):
    """Every engine can run it, and rows are joined."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.linear(x)).softmax(-1)


class Dice(torch.nn.Module):
    """Never the same answer."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.rand_like(x)


class Mortal(torch.nn.Module):
    """Ends its process after more calls than packaging needs; TorchScript does not see it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not torch.jit.is_scripting():  # type: ignore[attr-defined]
            self.calls += 1
            if self.calls > 40:
                os._exit(7)
        return x + 1


class Shouting(torch.nn.Module):
    """Texts, which no engine but Python runs."""

    def forward(self, texts: list[str]) -> list[str]:
        return [text.upper() for text in texts]


class Total(torch.nn.Module):
    """Its answer has no rows, so no requests are joined."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.sum()


class Account:
    """An object for another process."""

    def __init__(self, balance: int) -> None:
        if balance < 0:
            msg = f"balance is {balance}"
            raise ValueError(msg)
        self._balance = balance

    def add(self, amount: int) -> int:
        self._balance += amount
        return self._balance

    def fail(self) -> None:
        msg = "no such luck"
        raise KeyError(msg)

    def die(self) -> None:
        sys.stdout.write("last words\n")
        sys.stdout.flush()
        os._exit(3)

    def close(self) -> None:
        sys.stdout.write("closed\n")
        sys.stdout.flush()
