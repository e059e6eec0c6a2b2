"""Small models of many shapes, written as users write them."""

from __future__ import annotations

import os
import time
from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass
class Config:
    width: int = 8
    depth: int = 2


class Mlp(nn.Module):
    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = config or Config()
        width = self.config.width
        layers = [
            nn.Sequential(nn.Linear(width, width), nn.GELU()) for _ in range(self.config.depth)
        ]
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + layer(x)
        return x


class DictOutput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> dict[str, object]:
        logits = self.linear(x)
        return {"logits": logits, "best": {"index": logits.argmax(-1), "value": logits.amax(-1)}}


class TupleOutput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, None, tuple[Tensor, Tensor]]:
        y = self.linear(x)
        return y, None, (y.sum(-1), y.mean(0))


class Boxes(NamedTuple):
    corners: Tensor
    scores: Tensor


class NamedTupleOutput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Boxes:
        y = self.linear(x)
        return Boxes(corners=y[:, :4], scores=y[:, 4].sigmoid())


@dataclass
class Prediction:
    mean: Tensor
    deviation: Tensor
    note: str


class DataclassOutput(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Prediction:
        y = self.linear(x)
        return Prediction(mean=y[:, 0], deviation=functional.softplus(y[:, 1]), note="größe")


class InPlace(nn.Module):
    """Writes to its input, and counts its calls in a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Tensor
        self.register_buffer("calls", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        x.mul_(2).add_(self.calls)
        return {"x": x, "calls": self.calls}


class ControlFlow(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x: Tensor, steps: int, negate: bool = False) -> Tensor:
        for _ in range(steps):
            x = self.linear(x)
            if x.abs().max().item() > 0.5:
                x = x.tanh()
        return -x if negate else x


def double_output(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    return output * 2


class Hooked(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)
        self.linear.register_forward_hook(double_output)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.linear(x)
        return y


class TiedWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.head = nn.Linear(8, 50, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        y: Tensor = self.head(self.embedding(tokens))
        return y


class Int8Weights(nn.Module):
    """Weights kept as int8 with a scale for each row."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.randn(6, 8)
        scale = weight.abs().amax(1, keepdim=True) / 127
        self.weight: Tensor
        self.scale: Tensor
        self.register_buffer("weight", (weight / scale).round().to(torch.int8))
        self.register_buffer("scale", scale)

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weight.float() * self.scale)


class Spectrum(nn.Module):
    """Complex inside, real outside."""

    def forward(self, signal: Tensor) -> Tensor:
        spectrum = torch.fft.rfft(signal)
        return torch.view_as_real(spectrum * spectrum.conj().resolve_conj() * 1j)


class Lstm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 7, num_layers=2, batch_first=True, bidirectional=True)

    def forward(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        output: tuple[Tensor, tuple[Tensor, Tensor]] = self.lstm(x)
        return output


class ConvNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1)
        )
        self.head = nn.Linear(8, 10)

    def forward(self, image: Tensor) -> Tensor:
        y: Tensor = self.head(self.body(image).flatten(1))
        return y


class Bag(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(20, 4, mode="mean")

    def forward(self, tokens: Tensor, offsets: Tensor) -> Tensor:
        y: Tensor = self.bag(tokens, offsets)
        return y


class Nested(nn.Module):
    def forward(self, features: dict[str, Tensor], pair: tuple[Tensor, Tensor]) -> list[Tensor]:
        return [features["a"] + pair[0], features["b"] * pair[1]]


class TextLength(nn.Module):
    def forward(self, text: list[str]) -> dict[str, object]:
        lengths = torch.tensor([len(item) for item in text])
        return {"length": lengths, "upper": [item.upper() for item in text]}


class Gradient(nn.Module):
    """A force field: its output is a gradient."""

    def __init__(self) -> None:
        super().__init__()
        self.energy = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, positions: Tensor) -> dict[str, Tensor]:
        with torch.enable_grad():
            positions = positions.detach().requires_grad_()
            energy = self.energy(positions).sum(-1)
            (force,) = torch.autograd.grad(energy.sum(), positions)
        return {"energy": energy.detach(), "force": -force}


class Strided(nn.Module):
    """Outputs that are views: transposed, expanded, of zero dimensions, and empty."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {
            "transposed": x.t(),
            "expanded": x[:1].expand(3, -1),
            "total": x.sum(),
            "empty": x[:0],
        }


class ManyDtypes(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        names = "uint8 int8 int16 int32 int64 float16 bfloat16 float32 float64 bool"
        return {name: x.to(getattr(torch, name)) for name in names.split()}


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        y: Tensor = self.attention(x, x, x, key_padding_mask=mask, need_weights=False)[0]
        return y


class NumpyInside(nn.Module):
    def forward(self, x: Tensor) -> dict[str, object]:
        array = np.sort(x.numpy(), axis=-1)[..., ::-1]
        return {"sorted": array, "top": array[..., 0], "count": array.size}


Point = namedtuple("Point", "x y")


class Statistics(nn.Module):
    def forward(self, x: Tensor) -> Point:
        return Point(x=float(x.mean()), y=[float(value) for value in x.std(0)])


class Affine(nn.Module):
    """Refuses batches over 8."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        if x.shape[0] > 8:
            raise ValueError(x.shape[0])
        return {"y": self.linear(x), "rows": torch.tensor(x.shape[0])}


class RunningSum(nn.Module):
    """Adds up what a sequence brings, in the interpreter that it is in."""

    def __init__(self) -> None:
        super().__init__()
        self.sums: dict[int, torch.Tensor] = {}

    def forward(self, x: torch.Tensor, sequence: int, start: bool, end: bool) -> torch.Tensor:
        if start:
            self.sums[sequence] = torch.zeros_like(x)
        self.sums[sequence] = self.sums[sequence] + x
        return self.sums.pop(sequence) if end else self.sums[sequence]


class SlowToLoad(nn.Module):
    """Tells by a file when it is being loaded, and takes its time."""

    MARKER = "SLOW_TO_LOAD_MARKER"

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)
        if self.MARKER in os.environ:
            Path(os.environ[self.MARKER]).touch()
            time.sleep(60)

    def forward(self, x: Tensor) -> Tensor:
        return x


class Modes(nn.Module):
    """Says whether it runs in inference mode, and whether it was compiled."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        compiled = torch.compiler.is_compiling()
        # Which dynamo cannot trace.
        inference = not compiled and torch.is_inference_mode_enabled()
        return {
            "doubled": x * 2,
            "inference": torch.tensor(inference),
            "compiled": torch.tensor(compiled),
        }


class Placed(nn.Module):
    """Says on which kind of device it is, and what it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def forward(self, x: torch.Tensor) -> dict[str, list[str]]:
        return {"places": [self.weight.device.type, x.device.type]}
