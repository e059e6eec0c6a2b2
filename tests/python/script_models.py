"""Modules that TorchScript takes."""

from __future__ import annotations

import torch


class Net(torch.nn.Module):
    """A network, and another method of it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(8, 16), torch.nn.GELU(), torch.nn.Linear(16, 4)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = layer(x)
        return x

    @torch.jit.export
    def scaled(self, x: torch.Tensor, factor: float) -> dict[str, torch.Tensor]:
        return {"y": self.forward(x) * factor}

    @torch.jit.export
    def rows(self, x: torch.Tensor) -> torch.Tensor:
        return torch.full([x.size(0), 1], x.size(0))


class Texts(torch.nn.Module):
    def forward(self, texts: list[str]) -> tuple[list[str], torch.Tensor]:
        return [text.upper() for text in texts], torch.tensor([len(text) for text in texts])


class Broken(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.numel() > 0:
            msg = "no such luck"
            raise RuntimeError(msg)
        return x
