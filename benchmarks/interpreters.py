"""`make bench`: throughput of one server with 1 interpreter and with n, on a GIL-bound model.

Beside it the same model in 1 and in n plain processes without any server: what this machine's
cores give at most. All four take turns, so that a machine that changes its speed changes it for
all; a figure is the median of the ratios of neighbouring turns.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from models import write_tiny_layers
from plain_processes import bare_calls_per_second
from rich.console import Console
from rich.progress import track

from torchdeploy_pkg import Client, Server

THREADS_PER_INTERPRETER = 2  # One request runs, one waits: no interpreter is ever idle.


def served_calls_per_second(url: str, interpreters: int, seconds: float) -> float:
    """Calls that a server answers to enough threads; every answer is waited for."""
    x = np.ones((1, 16), np.float32)
    end = time.perf_counter() + seconds

    def ask(client: Client) -> int:
        calls = 0
        while time.perf_counter() < end:
            client.infer("tiny_layers", {"x": x})
            calls += 1
        return calls

    threads = interpreters * THREADS_PER_INTERPRETER
    clients = [Client(url) for _ in range(threads)]
    start = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        calls = sum(pool.map(ask, clients))
    elapsed_s = time.perf_counter() - start
    for client in clients:
        client.close()
    return calls / elapsed_s


def print_rows(console: Console, what: str, n: int, rows: list[tuple[float, float]]) -> None:
    """Print both throughputs and their ratio, with its range."""
    ratios = sorted(many / one for one, many in rows)
    one, many = (statistics.median(column) for column in zip(*rows, strict=True))
    console.print(f"{what:24}{one:7.1f} calls/s with 1,{many:7.1f} with {n}")
    console.print(
        f"{'':24}{statistics.median(ratios):7.2f} x  ({ratios[0]:.2f} to {ratios[-1]:.2f})"
    )


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--interpreters", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one turn")
    options = parser.parse_args()
    n = options.interpreters
    console = Console(highlight=False)
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "tiny_layers.pt"
        write_tiny_layers(archive)
        with (
            Server(archive, interpreters=1, intra_op_threads=1) as one,
            Server(archive, interpreters=n, intra_op_threads=1) as many,
            ProcessPoolExecutor(n, multiprocessing.get_context("spawn")) as pool,
        ):
            served: list[tuple[float, float]] = []
            bare: list[tuple[float, float]] = []
            for server, count in ((one, 1), (many, n)):
                served_calls_per_second(server.url, count, 1.0)
            bare_calls_per_second(pool, n, 1.0)
            for _ in track(range(options.rounds), "Measuring", console=console):
                served.append(
                    (
                        served_calls_per_second(one.url, 1, options.seconds),
                        served_calls_per_second(many.url, n, options.seconds),
                    )
                )
                bare.append(
                    (
                        bare_calls_per_second(pool, 1, options.seconds),
                        bare_calls_per_second(pool, n, options.seconds),
                    )
                )
    print_rows(console, "interpreters, served", n, served)
    print_rows(console, "bare processes", n, bare)


if __name__ == "__main__":
    main()
