"""A recurrent network: the steps of a sequence, one after another."""

from __future__ import annotations

import torch
from torch import nn

FEATURES = 64
HIDDEN = 256
CLASSES = 16


class SequenceClassifier(nn.Module):
    """Two layers of LSTM, and a class for each sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(FEATURES, HIDDEN, num_layers=2, batch_first=True)
        self.classifier = nn.Linear(HIDDEN, CLASSES)

    def forward(self, steps: torch.Tensor) -> torch.Tensor:
        """Shape (batch, time, FEATURES) to (batch, CLASSES), FP32."""
        hidden, _ = self.lstm(steps)
        return self.classifier(hidden[:, -1])
