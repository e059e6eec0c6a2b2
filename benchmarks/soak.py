"""`make soak`: the same again and again, for hours if wanted, to find what leaks or wears out.

Each part runs in a process of its own, and fails by an exception.
"""

from __future__ import annotations

import contextlib
import itertools
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
from figures import FOLDER, run_in_python
from rich.console import Console
from smaps import private_dirty_mb, resident_mb

from torchdeploy_pkg import InterpreterManager
from torchdeploy_pkg.errors import DeadlineExceededError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torchdeploy_pkg.runtime import ReplicatedObj

MODEL_MB = 20
WARM_CYCLES = 100
MOST_GROWTH_MB = 20
MOST_INTERPRETERS = 4
CALLERS = 4
# What hangs is left behind, with about 150 MB, and each takes 10 s.
MOST_HANGS = 10

WRITE = "import sys, models; models.write_large_linear(sys.argv[1], int(sys.argv[2]))"

SOURCE = """
import time

def echo(x):
    return x

def spin():
    while True:
        pass

def hang():
    time.sleep(10**6)
"""

# Ends without closing anything, in the middle of calls.
SHORT_LIFE = """
import sys, numpy, torchdeploy_pkg
manager = torchdeploy_pkg.InterpreterManager(2, intra_op_threads=1)
model = manager.load_package(sys.argv[1]).load_pickle()
x = numpy.ones((1, 16), numpy.float32)
futures = [model.call_async(x) for _ in range(8)]
assert futures[0].result().shape == (1, 16)
"""

console = Console(highlight=False)


def until(seconds: float, at_least: int) -> Iterator[int]:
    """Count rounds until the time is over."""
    end = time.monotonic() + seconds
    for number in itertools.count(1):
        yield number
        if number >= at_least and time.monotonic() > end:
            return


def check_growth(what: str, before_mb: float, after_mb: float) -> None:
    """Fail when memory grew by too much."""
    console.print(f"{what}: {before_mb:.0f} MB, then {after_mb:.0f} MB")
    if after_mb - before_mb >= MOST_GROWTH_MB:
        message = f"{what} grew from {before_mb:.0f} to {after_mb:.0f} MB"
        raise AssertionError(message)


def wait_until_unmapped(archive: Path) -> None:
    """Interpreters let a model go soon after its handle is gone, not at once."""
    end = time.monotonic() + 10
    while str(archive) in Path("/proc/self/maps").read_text():
        if time.monotonic() > end:
            message = f"{archive} is still mapped 10 s after its last handle is gone"
            raise AssertionError(message)
        time.sleep(0.001)


def loads(seconds: float, cycles: int, folder: Path) -> None:
    """A 20 MB model is loaded, called and dropped, again and again."""
    archive = folder / "linear.pt"
    run_in_python(WRITE, archive, MODEL_MB)
    x = np.ones((1, 16), np.float32)
    warm_mb = 0.0
    with InterpreterManager(2, intra_op_threads=1) as manager:
        for cycle in until(seconds, cycles):
            model = manager.load_package(archive).load_pickle()
            with model.acquire_session(), ThreadPoolExecutor(1) as other:  # In both.
                other.submit(model, x).result()
                model(x)
            del model
            wait_until_unmapped(archive)
            if cycle == min(WARM_CYCLES, cycles // 2):
                warm_mb = resident_mb()
        check_growth(f"resident after the first and after {cycle} loads", warm_mb, resident_mb())


def function(manager: InterpreterManager, name: str) -> ReplicatedObj:
    """One of SOURCE."""
    with manager.acquire_one() as session:
        return manager.create_movable(session.global_("soaked", name))


class Callers:
    """Threads that call the echo and check its answer, until the end of `with`."""

    def __init__(self, manager: InterpreterManager) -> None:
        self._echo = function(manager, "echo")
        self._stop = threading.Event()
        self._pool = ThreadPoolExecutor(CALLERS)
        self._threads = [self._pool.submit(self._work, i) for i in range(CALLERS)]

    def _work(self, caller: int) -> None:
        for number in itertools.count():
            if self._stop.is_set():
                return
            x = np.full((4, 4), caller * 1e6 + number)
            if not np.array_equal(self._echo(x), x):
                message = f"caller {caller} was given another's answer to call {number}"
                raise AssertionError(message)

    def __enter__(self) -> Callers:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.result()
        self._pool.shutdown()


def resizes(seconds: float, cycles: int, _folder: Path) -> None:
    """Interpreters come and go under calls."""
    warm_mb = 0.0
    with InterpreterManager(1, intra_op_threads=1) as manager:
        manager.register_module_source("soaked", SOURCE)
        with Callers(manager):
            for cycle in until(seconds, cycles):
                manager.resize(1 + cycle % MOST_INTERPRETERS)
                if cycle == min(WARM_CYCLES, cycles // 2):
                    warm_mb = private_dirty_mb()
            after_mb = private_dirty_mb()
        check_growth(f"own memory after the first and after {cycle} resizes", warm_mb, after_mb)


def deadlines(seconds: float, cycles: int, _folder: Path) -> None:
    """Calls that never end by themselves are ended, beside others that do."""
    warm_mb = 0.0
    with InterpreterManager(2, intra_op_threads=1) as manager:
        manager.register_module_source("soaked", SOURCE)
        spin = function(manager, "spin").with_timeout(0.01)
        with Callers(manager):
            for cycle in until(seconds, cycles):
                with contextlib.suppress(DeadlineExceededError):
                    spin()
                if cycle == min(WARM_CYCLES, cycles // 2):
                    warm_mb = private_dirty_mb()
            after_mb = private_dirty_mb()
        if manager.interpreters_replaced:
            message = f"{manager.interpreters_replaced} interpreters were replaced; expected none"
            raise AssertionError(message)
        check_growth(f"own memory after the first and after {cycle} deadlines", warm_mb, after_mb)


def hangs(seconds: float, cycles: int, _folder: Path) -> None:
    """An interpreter hangs in native code, and another takes its place."""
    with InterpreterManager(2, intra_op_threads=1) as manager:
        manager.register_module_source("soaked", SOURCE)
        hang = function(manager, "hang").with_timeout(0.1)
        with Callers(manager):
            for cycle in until(seconds, min(cycles, 2)):
                with contextlib.suppress(DeadlineExceededError):
                    hang()
                end = time.monotonic() + 120
                while manager.interpreters_replaced < cycle:
                    if time.monotonic() > end:
                        message = f"the interpreter of hang {cycle} was not replaced within 120 s"
                        raise AssertionError(message)
                    time.sleep(0.1)
                if cycle == MOST_HANGS:
                    break
        console.print(f"{manager.interpreters_replaced} interpreters replaced")


def starts(seconds: float, cycles: int, folder: Path) -> None:
    """Processes start, call and end without closing anything."""
    archive = folder / "identity.pt"
    run_in_python("import sys, models; models.write_identity(sys.argv[1])", archive)
    for number in until(seconds, min(cycles, 3)):
        run_in_python(SHORT_LIFE, archive)
        console.print(f"process {number} has ended")


PARTS: dict[str, Callable[[float, int, Path], None]] = {
    part.__name__: part for part in (loads, resizes, deadlines, hangs, starts)
}


def run_part(name: str, seconds: float, cycles: int) -> None:
    """Run one of them here."""
    with tempfile.TemporaryDirectory() as folder:
        PARTS[name](seconds, cycles, Path(folder))


@click.command(help=__doc__)
@click.option("--minutes", default=10.0, show_default=True, help="Shared by the parts.")
@click.option("--cycles", default=1000, show_default=True, help="Cycles of a part, at least.")
@click.option("--only", type=click.Choice(list(PARTS)), help="Run this part.")
def main(minutes: float, cycles: int, only: str | None) -> None:
    """Run one part here, or all in processes of their own."""
    if only:
        run_part(only, 60 * minutes, cycles)
        return
    failed = []
    for name, part in PARTS.items():
        console.print(f"[bold]{name}[/]: {part.__doc__}")
        share = ["--minutes", str(minutes / len(PARTS)), "--cycles", str(cycles), "--only", name]
        command = [sys.executable, str(FOLDER / "soak.py"), *share]
        if subprocess.run(command, check=False).returncode != 0:
            failed.append(name)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
