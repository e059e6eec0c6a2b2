"""A recommender in the shape of DLRM. Source: arXiv 1906.00091."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

DENSE = 13  # Numbers of features as in the Criteo data set.
SPARSE = 26
ROWS = 20_000
WIDTH = 16


class Dlrm(nn.Module):
    """Numbers and categories to the chance of a click."""

    def __init__(self) -> None:
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(ROWS, WIDTH) for _ in range(SPARSE))
        self.bottom = _perceptron(DENSE, 512, 256, 64, WIDTH)
        pairs = (SPARSE + 1) * SPARSE // 2
        self.top = _perceptron(WIDTH + pairs, 512, 256, 1)
        below = torch.tril_indices(SPARSE + 1, SPARSE + 1, offset=-1)
        self.register_buffer("below", below[0] * (SPARSE + 1) + below[1])

    def forward(self, dense: torch.Tensor, sparse: torch.Tensor) -> torch.Tensor:
        """FP32 (batch, DENSE) and INT64 (batch, SPARSE), below ROWS, to FP32 (batch, 1)."""
        bottom = self.bottom(dense)
        features = [bottom]
        for index, table in enumerate(self.tables):
            features.append(table(sparse[:, index]))
        stacked = torch.stack(features, 1)
        products = torch.bmm(stacked, stacked.transpose(1, 2)).flatten(1)
        interactions = products.index_select(1, self.below)
        return torch.sigmoid(self.top(torch.cat([bottom, interactions], 1)))


def _perceptron(*widths: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for narrow, wide in pairwise(widths):
        layers += [nn.Linear(narrow, wide), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
