"""Our server beside a bare gRPC server with the same messages, in turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from call_overhead import CPP, INSIDE, WARM_UP_CALLS
from figures import Figure, command_of, median_of
from load import Load, echo_server, load, write_request
from models import write_identity

from torchdeploy_pkg import Server

CONCURRENT = 16
SMALL, LARGE = 16, 150_000  # Floats of a tensor; 600 KB.


def p50_in_process_us(archive: Path, source: Path, calls: int) -> float:
    """The same model called by a C++ host."""
    command = [CPP, archive, source, 1, calls, WARM_UP_CALLS]
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix}  # The same Python as here.
    output = subprocess.run(
        list(map(str, command)), env=environment, check=True, stdout=subprocess.PIPE
    ).stdout
    outside: float = json.loads(output)[0][0]
    return outside


def ratios_of(measure: str, pairs: list[tuple[Load, Load]], target: float | None) -> list[Figure]:
    """Ours over the bare one, and what each did."""
    ours, bare = ([each.requests_per_second for each in side] for side in zip(*pairs, strict=True))
    ratios = [a / b for a, b in zip(ours, bare, strict=True)]
    return [
        median_of(f"{measure}, over a bare server", ratios, "x", target, at_least=True),
        median_of(measure, ours, "requests/s"),
        median_of("the same, bare", bare, "requests/s"),
    ]


def latencies_of(pairs: list[tuple[Load, Load]], in_process_us: list[float]) -> list[Figure]:
    """What our server adds to a call in process, over what a bare one takes."""
    ours = [ours.p50_us for ours, _ in pairs]
    bare = [bare.p50_us for _, bare in pairs]
    added = [a - b for a, b in zip(ours, in_process_us, strict=True)]
    over_bare = [a / b for a, b in zip(added, bare, strict=True)]
    note = "p50 of one client, less p50 of a call from C++"
    return [
        median_of("what the server adds, over a bare server", over_bare, "x", 1.2, note=note),
        median_of("p50 of one client", ours, "us"),
        median_of("the same, bare", bare, "us"),
        median_of("p50 of a call from C++", in_process_us, "us"),
    ]


def measure(quick: bool) -> list[Figure]:
    """Our server beside a bare gRPC server with the same messages, in turns."""
    rounds, seconds, calls = (2, 0.5, 1000) if quick else (9, 3.0, 10_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        archive, source = folder / "identity.pt", folder / "inside.py"
        write_identity(archive)
        source.write_text(INSIDE)
        small, large = (
            write_request(folder / str(n), "identity", {"input": np.ones((1, n), np.float32)})
            for n in (SMALL, LARGE)
        )
        cases = (
            (small, CONCURRENT, 1),
            (small, CONCURRENT, 4),
            (large, CONCURRENT, 1),
            (small, 1, 1),
        )
        pairs: list[list[tuple[Load, Load]]] = [[] for _ in cases]
        in_process_us = []
        with Server(archive) as server, echo_server() as bare:
            for _ in range(rounds):
                in_process_us.append(p50_in_process_us(archive, source, calls))
                for (request, concurrent, channels), taken in zip(cases, pairs, strict=True):
                    ours, its = (
                        load(
                            url,
                            [request],
                            concurrent=concurrent,
                            channels=channels,
                            seconds=seconds,
                        )
                        for url in (server.url, bare)
                    )
                    taken.append((ours, its))
    on_one, on_four, of_large, alone = pairs
    return [
        *ratios_of(f"{CONCURRENT} requests at once", on_one, 0.7),
        *ratios_of(f"{CONCURRENT} requests at once on 4 connections", on_four, None),
        *ratios_of(f"{CONCURRENT} requests at once of 600 KB", of_large, 0.7),
        *latencies_of(alone, in_process_us),
    ]


if __name__ == "__main__":
    command_of(measure)()
