"""As many interpreters in one process as a large machine has cores."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

pytestmark = pytest.mark.integration

GB = 2**30
INTERPRETERS = 32
# An interpreter needs less; what is missing here would end other tests as well.
LEAST_DISK = 14 * GB
LEAST_MEMORY = 8 * GB
MOST_MEMORY_KB_EACH = 200 << 10

PROGRAM = """
import sys
from pathlib import Path
import numpy
from torchdeploy_pkg import InterpreterManager

SOURCE = '''
import torch

def double(x):
    return torch.version.interp, 2 * x
'''

count = int(sys.argv[1])
with InterpreterManager(count, intra_op_threads=1, cache=sys.argv[2]) as manager:
    manager.register_module_source("doubling", SOURCE)
    for slot in range(count):
        with manager[slot].acquire_session() as session:
            where, y = session.global_("doubling", "double")(numpy.full(3, slot)).deref()
            assert where == slot
            assert y.tolist() == [2 * slot] * 3
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    print(*(line.split()[1] for line in lines if line.startswith("Private_Dirty:")))
"""


def available_memory() -> int:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0


@pytest.mark.timeout(900)
@pytest.mark.skipif(available_memory() < LEAST_MEMORY, reason="needs 8 GB of memory")
def test_thirty_two_interpreters_start_answer_and_stop(
    tmp_path: Path, run_python: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    if shutil.disk_usage(tmp_path).free < LEAST_DISK:
        pytest.skip("needs 14 GB of disk for the copies of the libraries")
    program, cache = tmp_path / "program.py", tmp_path / "cache"
    program.write_text(PROGRAM)
    try:
        done = run_python(program, str(INTERPRETERS), cache, cwd=tmp_path)
    finally:
        shutil.rmtree(cache, ignore_errors=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < INTERPRETERS * MOST_MEMORY_KB_EACH
