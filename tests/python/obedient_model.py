"""A model that does what it is told: answer, raise, never end, or end its process.

Dying, it leaves a process behind that holds the server's standard output.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time

import torch
from torch import nn

ANSWER, RAISE, LOOP, DIE = range(4)


class Obedient(nn.Module):
    """Gives back what it was told, if it comes to that."""

    def forward(self, what: torch.Tensor) -> torch.Tensor:
        told = int(what[0])
        if told == RAISE:
            msg = "as told"
            raise ValueError(msg)
        if told == DIE:
            subprocess.Popen(["sleep", "100"], stderr=subprocess.DEVNULL)
            os.kill(os.getpid(), signal.SIGKILL)
        while told == LOOP:
            time.sleep(0.001)
        return what
