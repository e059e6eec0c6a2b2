"""Two threads of an ordinary Python process, on two interpreters and on one."""

from __future__ import annotations

import multiprocessing
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from figures import Figure, command_of, median_of
from models import write_tiny_layers
from plain_processes import bare_calls_per_second

from torchdeploy_pkg import InterpreterManager

if TYPE_CHECKING:
    from torchdeploy_pkg.runtime import ReplicatedObj

THREADS = 2


def calls_per_second(pool: ThreadPoolExecutor, model: ReplicatedObj, seconds: float) -> float:
    """What both threads get done together."""
    x = torch.ones(1, 16)
    begin = time.perf_counter()

    def call(_: int) -> int:
        calls = 0
        while time.perf_counter() < begin + seconds:
            model(x)
            calls += 1
        return calls

    calls = sum(pool.map(call, range(THREADS)))
    return calls / (time.perf_counter() - begin)


def measure(quick: bool) -> list[Figure]:
    """Two threads of an ordinary Python process, on two interpreters and on one."""
    rounds, seconds = (2, 0.5) if quick else (10, 3.0)
    served, bare, took_ms = [], [], []
    with (
        tempfile.TemporaryDirectory() as folder,
        ThreadPoolExecutor(THREADS) as threads,
        ProcessPoolExecutor(THREADS, multiprocessing.get_context("spawn")) as processes,
    ):
        archive = Path(folder) / "tiny_layers.pt"
        write_tiny_layers(archive)
        with (
            InterpreterManager(1, intra_op_threads=1) as one,
            InterpreterManager(THREADS, intra_op_threads=1) as many,
        ):
            models = [manager.load_package(archive).load_pickle() for manager in (one, many)]
            for model in models:
                calls_per_second(threads, model, 0.5)
            bare_calls_per_second(processes, THREADS, 0.5)
            for _ in range(rounds):
                on_one, on_many = (calls_per_second(threads, m, seconds) for m in models)
                served.append(on_many / on_one)
                took_ms.append(1e3 / on_one)
                bare_one = bare_calls_per_second(processes, 1, seconds)
                bare.append(bare_calls_per_second(processes, THREADS, seconds) / bare_one)
    return [
        median_of("2 threads on 2 interpreters over 1", served, "x", 1.8, at_least=True),
        median_of("2 plain processes over 1", bare, "x", note="what the machine's cores give"),
        median_of("one call of that model", took_ms, "ms"),
    ]


if __name__ == "__main__":
    command_of(measure)()
