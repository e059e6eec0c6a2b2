"""TorchScript in one process, called from threads of Python: what serving costs nothing gives.

Reads lines of JSON: {} is asked for the answers to all requests, as lists; {"clients": N,
"seconds": S} for that load. Answers each with a line of JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from hosted_model import WORKLOAD
from scripted_model import ScriptedModel

if TYPE_CHECKING:
    from collections.abc import Callable

WARM_UP_SHARE = 0.1


def load(call: Callable[[int], object], clients: int, seconds: float) -> dict[str, float]:
    """Call from so many threads; what load_generator prints."""
    begin = time.perf_counter()
    counted_from, end = begin + WARM_UP_SHARE * seconds, begin + seconds
    took_us: list[list[float]] = [[] for _ in range(clients)]

    def work(took: list[float], index: int) -> None:
        while (start := time.perf_counter()) < end:
            call(index)
            index += 1
            if start >= counted_from:
                took.append((time.perf_counter() - start) * 1e6)

    threads = [threading.Thread(target=work, args=(took, i)) for i, took in enumerate(took_us)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted_s = time.perf_counter() - counted_from
    values = np.concatenate([np.array(took) for took in took_us])
    p50_us, p99_us = np.percentile(values, [50, 99])
    return {
        "requests_per_second": len(values) / counted_s,
        "p50_us": float(p50_us),
        "p99_us": float(p99_us),
    }


def main() -> None:
    """Answer until the input ends."""
    torch.set_num_threads(1)
    model = ScriptedModel()

    def call(index: int) -> object:
        return model(WORKLOAD.requests[index % len(WORKLOAD.requests)])

    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        answer = (
            load(call, asked["clients"], asked["seconds"])
            if asked
            else [model(request).tolist() for request in WORKLOAD.requests]
        )
        print(json.dumps(answer), flush=True)  # noqa: T201 - to the program that started it


if __name__ == "__main__":
    main()
