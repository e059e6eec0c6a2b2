"""A side while it runs: started, checked, and ended with all of its processes."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
from deadline import within
from environments import FOLDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from side import Client, Launch
    from workloads import Array, Workload

START_TIMEOUT_S = 180.0
CHECK_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
POLL_S = 0.05
LOG_TAIL = 2000


class SideError(RuntimeError):
    """A side did not start, did not answer, or answered wrongly."""


@dataclass
class Running:
    """A side that answers.

    Attributes:
        name: Of the side.
        client: Asks it.
        keeper: The process whose descendants are the side's.
    """

    name: str
    client: Client
    keeper: psutil.Process

    def processes(self) -> list[psutil.Process]:
        """All of the side's."""
        return self.keeper.children(recursive=True)

    def cpu_s(self) -> float:
        """CPU time that they have used."""
        total = 0.0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
                total += times.children_user + times.children_system  # Those that have ended.
        return total

    def libpythons(self) -> list[str]:
        """The files of libpython that they run."""
        found: set[str] = set()
        for process in self.processes():
            found |= set(re.findall(r"\S*libpython3\S*", _maps_of(process)))
        return sorted(str(Path(name).resolve()) for name in found)

    def pss_mb(self) -> float:
        """Their share of memory."""
        total = 0
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
        return total / 2**20


@contextlib.contextmanager
def started(name: str, launch: Launch, log: Path) -> Iterator[Running]:
    """Start a side; at the end of the block none of its processes is left."""
    command = [sys.executable, FOLDER / "keeper.py", *launch.command]
    with (
        log.open("w") as output,
        subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if launch.is_asked_on_stdin else output,
            stderr=output,
            text=True,
            cwd=log.parent,
            env=launch.environment,
            start_new_session=True,  # Ctrl-C reaches this program alone, which then ends them.
        ) as process,
    ):
        try:
            yield Running(name, launch.connect(process), psutil.Process(process.pid))
        finally:
            _stop(process)


def _stop(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.kill()


def wait_for_answer(running: Running, workload: Workload, expected: Array, log: Path) -> None:
    """Ask until there is an answer, and check it.

    Raises:
        SideError: There was none in time, or a wrong one.
    """
    with within(START_TIMEOUT_S + CHECK_TIMEOUT_S):
        answer = _first_answer(running, workload, log)
    check(answer, expected, workload)


def _first_answer(running: Running, workload: Workload, log: Path) -> Array:
    begin = time.perf_counter()
    while True:
        try:
            return running.client.ask(workload.requests[0])
        except (OSError, RuntimeError) as error:
            waited_s = time.perf_counter() - begin
            if waited_s > START_TIMEOUT_S or not _is_alive(running.keeper):
                msg = f"no answer within {waited_s:.0f} s: {error}; log: {_tail(log)}"
                raise SideError(msg) from error
        time.sleep(POLL_S)


def check_all(
    running: Running, workload: Workload, expected: Sequence[Array], at_once: int
) -> float:
    """Compare the answers to all requests with plain Python's; the largest difference."""
    with within(CHECK_TIMEOUT_S), ThreadPoolExecutor(at_once) as threads:
        answers = list(threads.map(running.client.ask, workload.requests))
    return max(
        check(answer, right, workload) for answer, right in zip(answers, expected, strict=True)
    )


def check(answer: Array, expected: Array, workload: Workload) -> float:
    """The difference to plain Python's answer, over the largest value of that.

    Raises:
        SideError: It is more than the workload tolerates.
    """
    if answer.size != expected.size:
        msg = f"{workload.name}: {answer.size} values instead of {expected.size}"
        raise SideError(msg)
    difference = float(np.abs(answer.reshape(expected.shape) - expected).max())
    difference /= float(np.abs(expected).max())
    if not difference <= workload.tolerance:
        msg = f"{workload.name}: differs from plain Python by {difference:.2g}"
        raise SideError(msg)
    return difference


def _maps_of(process: psutil.Process) -> str:
    with contextlib.suppress(OSError):  # It has just ended.
        return Path(f"/proc/{process.pid}/maps").read_text()
    return ""


def _is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-LOG_TAIL:]
