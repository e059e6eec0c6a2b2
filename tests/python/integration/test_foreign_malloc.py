"""A Python host whose malloc is jemalloc's."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from echo_model import Mlp

from torchdeploy_pkg import package

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

HOST = """
import ctypes, gc, sys
from concurrent.futures import ThreadPoolExecutor
import torch
from torchdeploy_pkg import InterpreterManager

ctypes.CDLL(None).mallctl  # Or else there is no jemalloc.
manager = InterpreterManager(2, intra_op_threads=1)
for _ in range(2):
    model = manager.load_package(sys.argv[1]).load_pickle()
    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(model, [torch.ones(2, 8)] * 100))
    assert all(torch.equal(answer, answers[0]) for answer in answers)
    del model
    gc.collect()
print("all is well")
"""


def test_host_with_jemalloc_loads_calls_unloads_and_ends(tmp_path: Path) -> None:
    package(Mlp().eval(), tmp_path / "mlp.pt", example_inputs=torch.ones(2, 8))
    done = subprocess.run(
        [sys.executable, "-c", HOST, str(tmp_path / "mlp.pt")],
        env={**os.environ, "LD_PRELOAD": "libjemalloc.so.2"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (0, "all is well\n"), done.stderr
