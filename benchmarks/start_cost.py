"""CPU time to start one further interpreter, beside that of a Python that imports torch."""

from __future__ import annotations

import resource
import subprocess
import sys

from figures import Figure, command_of, median_of, run_in_python

from torchdeploy_pkg import InterpreterManager

FILL_CACHE = """
import sys
from torchdeploy_pkg import InterpreterManager
InterpreterManager(int(sys.argv[1]), intra_op_threads=1).close()
"""


def cpu_seconds(who: int) -> float:
    """User and system time of this process or of its children that have ended."""
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def import_cpu_seconds() -> float:
    """What `import torch` costs a new Python."""
    before = cpu_seconds(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", "import torch"], check=True)
    return cpu_seconds(resource.RUSAGE_CHILDREN) - before


def measure(quick: bool) -> list[Figure]:
    """CPU time to start one further interpreter, beside that of a Python that imports torch."""
    rounds = 2 if quick else 9
    run_in_python(FILL_CACHE, 1 + rounds)
    import_cpu_seconds()
    starts, imports = [], []
    with InterpreterManager(1, intra_op_threads=1) as manager:
        for _ in range(rounds):
            imports.append(import_cpu_seconds())
            before = cpu_seconds(resource.RUSAGE_SELF)
            manager.resize(len(manager) + 1)
            starts.append(cpu_seconds(resource.RUSAGE_SELF) - before)
    ratios = [start / plain for start, plain in zip(starts, imports, strict=True)]
    return [
        median_of("CPU time of a further interpreter", starts, "s"),
        median_of("CPU time of python -c 'import torch'", imports, "s"),
        median_of("CPU time to start, over that of import torch", ratios, target=0.7),
    ]


if __name__ == "__main__":
    command_of(measure)()
