"""The model of the throughput benchmarks in plain processes: what this machine's cores give."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import torch
from zoo.tiny_layers import TinyLayers

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor


def calls_in_process(seconds: float) -> int:
    """Calls of the model without interpreters or a server, on one thread."""
    torch.set_num_threads(1)
    model = TinyLayers().eval()
    x = torch.ones(1, 16)
    calls = 0
    with torch.inference_mode():
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            model(x)
            calls += 1
    return calls


def bare_calls_per_second(pool: ProcessPoolExecutor, processes: int, seconds: float) -> float:
    """The same from some processes at once; the pool has at least so many."""
    return sum(pool.map(calls_in_process, [seconds] * processes)) / seconds
