"""Memory of one further interpreter without a model."""

from __future__ import annotations

from itertools import pairwise

from figures import Figure, command_of
from smaps import private_code_mb, private_dirty_mb

from torchdeploy_pkg import InterpreterManager

MOST_INTERPRETERS = 4


def steps(values: list[float]) -> list[float]:
    """What each added to the one before."""
    return [after - before for before, after in pairwise(values)]


def mean_step(measure: str, values: list[float], target: float, note: str) -> Figure:
    """What one more adds on average, with the range of the steps."""
    each = steps(values)
    return Figure(measure, sum(each) / len(each), min(each), max(each), "MB", target, note=note)


def measure(_quick: bool) -> list[Figure]:
    """Memory of one further interpreter without a model."""
    dirty, code = [], []
    with InterpreterManager(1, intra_op_threads=1) as manager:
        for interpreters in range(1, MOST_INTERPRETERS + 1):
            manager.resize(interpreters)
            dirty.append(private_dirty_mb())
            code.append(private_code_mb())
    return [
        mean_step(
            "private memory per further interpreter",
            dirty,
            100,
            "Private_Dirty, from 1 to 4 interpreters",
        ),
        # With one interpreter no other mapping holds what all of them share.
        mean_step(
            "code per further interpreter that is not shared",
            code[1:],
            10,
            "Private_* of executable mappings, from 2 to 4 interpreters",
        ),
    ]


if __name__ == "__main__":
    command_of(measure)()
