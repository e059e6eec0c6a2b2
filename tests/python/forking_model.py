"""A model that forks after BLAS has started its threads."""

from __future__ import annotations

import os
import time

import numpy as np
from scipy.linalg.blas import dgemm


def multiply(x: float) -> float:
    """Use all threads of SciPy's BLAS, which a fork ends and the next use starts again."""
    square = np.full((300, 300), x)
    return float(dgemm(1.0, square, square)[0, 0])


def fork(code: int, at: float) -> int:
    """Return `code`, by way of the exit code of a child that is made at that very time."""
    while time.monotonic() < at:
        pass
    child = os.fork()
    if child == 0:
        os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
