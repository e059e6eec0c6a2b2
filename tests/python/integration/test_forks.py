"""Models that fork at the same moment, each in its own interpreter."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import forking_model
import pytest
from torch.package.package_exporter import PackageExporter

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

# In a process of its own, since what is tested is that it does not hang.
FORK_AT_THE_SAME_MOMENT = """
import sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from torchdeploy_pkg import InterpreterManager

def use(_):
    for _ in range(100):
        assert multiply(3.0) == 2700.0
        both_are_here.wait()
        assert fork(7, moment) == 7
        both_are_here.wait()

def agree_on_a_moment():
    global moment
    moment = time.monotonic() + 0.01

both_are_here = threading.Barrier(2, agree_on_a_moment)
with InterpreterManager(2, intra_op_threads=1) as manager:
    package = manager.load_package(sys.argv[1])
    multiply, fork = (package.load_pickle("model", name) for name in ("multiply", "fork"))
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(use, range(2)))
"""


def test_two_interpreters_fork_at_the_same_moment(tmp_path: Path) -> None:
    with PackageExporter(str(tmp_path / "model.pt")) as exporter:
        exporter.intern("forking_model")
        exporter.extern("**")
        exporter.save_pickle("model", "multiply", forking_model.multiply)
        exporter.save_pickle("model", "fork", forking_model.fork)
    command = [sys.executable, "-c", FORK_AT_THE_SAME_MOMENT, str(tmp_path / "model.pt")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
