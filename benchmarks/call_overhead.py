"""What a call of a model costs beyond the model: from Python, and from C++."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from figures import BUILD, Figure, command_of, median_of, percentile
from models import write_identity

from torchdeploy_pkg import InterpreterManager

if TYPE_CHECKING:
    from torchdeploy_pkg.runtime import ReplicatedObj

CPP = BUILD / "release" / "benchmarks" / "call_overhead"
WARM_UP_CALLS = 2000

# Also read by call_overhead.cc.
INSIDE = """
import time

def p50_us(model, x, calls):
    clock, took = time.perf_counter_ns, []
    for _ in range(calls):
        begin = clock()
        model(x)
        took.append(clock() - begin)
    return sorted(took)[calls // 2] / 1e3
"""


def p50_inside_us(model: ReplicatedObj, x: torch.Tensor, calls: int) -> float:
    """The same call, made and timed by code that runs in the interpreter."""
    with model.acquire_session() as session:
        timer = session.global_("inside", "p50_us")
        arguments = (session.self, session.from_value(x), session.from_value(calls))
        p50: float = timer(*arguments).deref()
        return p50


def p50_outside_us(model: ReplicatedObj, x: torch.Tensor, calls: int) -> float:
    """A call through the handle, timed here."""
    clock, took = time.perf_counter_ns, []
    for _ in range(calls):
        begin = clock()
        model(x)
        took.append(clock() - begin)
    return percentile(took, 0.5) / 1e3


def from_python(archive: Path, rounds: int, calls: int) -> tuple[list[float], list[float]]:
    """What the handle adds, in each round: to torch's tensors."""
    added, inside = [], []
    x = torch.ones(1, 16)
    with InterpreterManager(1, intra_op_threads=1) as manager:
        manager.register_module_source("inside", INSIDE)
        model = manager.load_package(archive).load_pickle()
        p50_outside_us(model, x, WARM_UP_CALLS)
        for _ in range(rounds):
            inside.append(p50_inside_us(model, x, calls))
            added.append(p50_outside_us(model, x, calls) - inside[-1])
    return added, inside


def from_cpp(archive: Path, source: Path, rounds: int, calls: int) -> list[float]:
    """The same of a C++ host."""
    command = [CPP, archive, source, rounds, calls, WARM_UP_CALLS]
    environment = {**os.environ, "VIRTUAL_ENV": sys.prefix}  # The same Python as here.
    output = subprocess.run(
        list(map(str, command)), env=environment, check=True, stdout=subprocess.PIPE
    ).stdout
    return [outside - inside for outside, inside in json.loads(output)]


def measure(quick: bool) -> list[Figure]:
    """What a call of a model costs beyond the model: from Python, and from C++."""
    rounds, calls = (3, 1000) if quick else (15, 10_000)
    with tempfile.TemporaryDirectory() as folder:
        archive, source = Path(folder) / "identity.pt", Path(folder) / "inside.py"
        write_identity(archive)
        source.write_text(INSIDE)
        cpp = from_cpp(archive, source, rounds, calls)
        python, inside = from_python(archive, rounds, calls)
    note = "p50 of torch.nn.Identity, less p50 within the interpreter"
    return [
        median_of("what a call from C++ adds", cpp, "us", 5, note=note),
        median_of("what a call from Python adds", python, "us", 8, note=note),
        median_of("that call within the interpreter", inside, "us"),
    ]


if __name__ == "__main__":
    command_of(measure)()
