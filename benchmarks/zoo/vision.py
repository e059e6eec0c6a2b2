"""Residual networks of the shapes of ResNet-18 and ResNet-50. Source: arXiv 1512.03385, table 1."""

from __future__ import annotations

import torch
from torch import nn

CLASSES = 1000


def resnet18() -> nn.Module:
    """Two convolutions of 3 x 3 in each block; 11.7 million weights."""
    return ResNet(_BasicBlock, (2, 2, 2, 2))


def resnet50() -> nn.Module:
    """Three convolutions in each block, of which the middle one is narrow; 25.6 million weights."""
    return ResNet(_Bottleneck, (3, 4, 6, 3))


class ResNet(nn.Module):
    """Images to scores of classes.

    Args:
        block: What the stages are made of.
        depths: Number of blocks in each of the four stages.
    """

    def __init__(
        self, block: type[_BasicBlock] | type[_Bottleneck], depths: tuple[int, ...]
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(_convolution(3, 64, 7, stride=2), nn.ReLU())
        self.pool = nn.MaxPool2d(3, stride=2, padding=1)
        stages = []
        channels = 64
        for index, depth in enumerate(depths):
            width = 64 << index
            for position in range(depth):
                stride = 2 if index > 0 and position == 0 else 1
                stages.append(block(channels, width, stride))
                channels = width * block.expansion
        self.stages = nn.Sequential(*stages)
        self.classifier = nn.Linear(channels, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Shape (batch, 3, height, width) to (batch, CLASSES), FP32."""
        features = self.stages(self.pool(self.stem(image)))
        return self.classifier(features.mean((2, 3)))


def _convolution(channels: int, width: int, size: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, width, size, stride, padding=size // 2, bias=False),
        nn.BatchNorm2d(width),
    )


class _BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(
            _convolution(channels, width, 3, stride), nn.ReLU(), _convolution(width, width, 3)
        )
        self.shortcut = _shortcut(channels, width, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.inner(x) + self.shortcut(x))


class _Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        wide = width * self.expansion
        self.inner = nn.Sequential(
            _convolution(channels, width, 1),
            nn.ReLU(),
            _convolution(width, width, 3, stride),
            nn.ReLU(),
            _convolution(width, wide, 1),
        )
        self.shortcut = _shortcut(channels, wide, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.inner(x) + self.shortcut(x))


def _shortcut(channels: int, width: int, stride: int) -> nn.Module:
    if channels == width and stride == 1:
        return nn.Identity()
    return _convolution(channels, width, 1, stride)
