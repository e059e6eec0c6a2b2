"""How long calls take while further interpreters are started beside them."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from figures import Figure, command_of, median_of, percentile, run_in_python
from models import TinyLayers, write_tiny_layers
from start_cost import FILL_CACHE

from torchdeploy_pkg import InterpreterManager

if TYPE_CHECKING:
    from collections.abc import Callable

CALLERS = 2
ADDED = 4

SPAWN = multiprocessing.get_context("spawn")
Calls = list[tuple[float, float]]  # When each began (time.monotonic(), one clock for all), s.


def calls_until(stop: Any, call: Callable[[], object]) -> Calls:
    """Call again and again until the event is set."""
    calls = []
    while not stop.is_set():
        begin = time.monotonic()
        call()
        calls.append((begin, time.monotonic() - begin))
    return calls


def p99_ratio(calls: Calls, begin: float, end: float) -> float:
    """p99 of the calls that began between the two moments, over that of those before."""
    before = [took for at, took in calls if at < begin]
    during = [took for at, took in calls if begin <= at < end]
    return percentile(during, 0.99) / percentile(before, 0.99)


def ratio_of_interpreters(archive: Path, quiet_seconds: float) -> float:
    """Add interpreters to a manager that works. Runs in a process of its own."""
    x = torch.ones(1, 16)
    with InterpreterManager(CALLERS, intra_op_threads=1) as manager:
        model = manager.load_package(archive).load_pickle()
        stop = threading.Event()
        with ThreadPoolExecutor(CALLERS) as pool:
            for future in [pool.submit(model, x) for _ in range(4 * CALLERS)]:
                future.result()
            callers = [pool.submit(calls_until, stop, lambda: model(x)) for _ in range(CALLERS)]
            time.sleep(quiet_seconds)
            begin = time.monotonic()
            manager.resize(CALLERS + ADDED)
            end = time.monotonic()
            stop.set()
            calls = [call for caller in callers for call in caller.result()]
    return p99_ratio(calls, begin, end)


def call_in_process(stop: Any, ready: Any) -> Calls:
    """Call the model in a plain process."""
    torch.set_num_threads(1)
    model = TinyLayers().eval()
    x = torch.ones(1, 16)
    with torch.inference_mode():
        for _ in range(4):
            model(x)
        ready.release()
        return calls_until(stop, lambda: model(x))


def ratio_of_processes(quiet_seconds: float) -> float:
    """The same of plain processes, while others are started that import torch."""
    with SPAWN.Manager() as shared, ProcessPoolExecutor(CALLERS, SPAWN) as pool:
        stop, ready = shared.Event(), shared.Semaphore(0)
        callers = [pool.submit(call_in_process, stop, ready) for _ in range(CALLERS)]
        for _ in range(CALLERS):
            ready.acquire()
        time.sleep(quiet_seconds)
        begin = time.monotonic()
        command = [sys.executable, "-c", "import torch"]
        for started in [subprocess.Popen(command) for _ in range(ADDED)]:
            started.wait()
        end = time.monotonic()
        stop.set()
        calls = [call for caller in callers for call in caller.result()]
    return p99_ratio(calls, begin, end)


def measure(quick: bool) -> list[Figure]:
    """How long calls take while further interpreters are started beside them."""
    rounds, quiet_seconds = (1, 2.0) if quick else (5, 10.0)
    run_in_python(FILL_CACHE, CALLERS + ADDED)
    ours, bare = [], []
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "tiny_layers.pt"
        write_tiny_layers(archive)
        for _ in range(rounds):
            with ProcessPoolExecutor(1, SPAWN) as pool:  # Whose process has no interpreters yet.
                ours.append(pool.submit(ratio_of_interpreters, archive, quiet_seconds).result())
            bare.append(ratio_of_processes(quiet_seconds))
    return [
        median_of("p99 while 4 interpreters are added, over p99 without", ours, target=1.5),
        median_of("the same of plain processes while 4 others import torch", bare),
    ]


if __name__ == "__main__":
    command_of(measure)()
