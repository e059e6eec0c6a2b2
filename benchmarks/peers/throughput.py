"""Requests per second and latency: all sides are started, and frozen but for one at a time."""

from __future__ import annotations

import contextlib
import signal
import time
from typing import TYPE_CHECKING

from deadline import within
from results import CLIENTS, Point
from session import undisturbed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from load import Load
    from running import Running
    from session import Session
    from side import Side
    from workloads import Workload

LOAD_TIMEOUT_S = 60.0  # Beyond the time of the load itself.
SETTLE_S = 0.3  # After a thaw, for timers that have run out meanwhile.


def measure_throughput(
    session: Session, sides: Sequence[Side], workload: Workload, *, is_joined: bool = False
) -> None:
    """Rounds of all numbers of clients and all sides, each round in another order."""
    measure = f"{workload.name}{'_joined' * is_joined}"
    session.expected(workload)  # Computed before the processor is busy with starts.
    with contextlib.ExitStack() as stack:
        runnings = _ready(session, stack, measure, sides, workload, is_joined=is_joined)
        for number in range(session.plan.rounds):
            for clients in CLIENTS:
                for place in range(len(runnings)):
                    running = runnings[(place + number) % len(runnings)]
                    with session.failing_alone(measure, running):
                        point = _point(session, running, workload, measure, clients, number)
                        session.results.points.append(point)
                        session.say(
                            f"{measure}: {clients:2} clients, {running.name}: "
                            f"{point.requests_per_second:.0f} requests/s"
                        )


def _ready(
    session: Session,
    stack: contextlib.ExitStack,
    measure: str,
    sides: Sequence[Side],
    workload: Workload,
    *,
    is_joined: bool,
) -> list[Running]:
    """Start all sides at once, then check, warm up and freeze each."""
    begun = []
    for side in sides:
        with session.failing_alone(measure, side):
            own = stack.enter_context(contextlib.ExitStack())
            begun.append(
                (own, own.enter_context(session.starting(side, workload, is_joined=is_joined)))
            )
    runnings = []
    for own, (running, deployment) in begun:
        with session.failing_alone(measure, running), _closed_on_failure(own):
            session.prove(measure, running, deployment)
            with within(LOAD_TIMEOUT_S):
                running.client.load(workload.requests, max(CLIENTS), 1)  # Warms it up.
            own.enter_context(_frozen(running))
            runnings.append(running)
            session.say(f"{measure}: {running.name} answers as plain Python")
    return runnings


@contextlib.contextmanager
def _closed_on_failure(stack: contextlib.ExitStack) -> Iterator[None]:
    try:
        yield
    except BaseException:
        stack.close()
        raise


def _point(
    session: Session,
    running: Running,
    workload: Workload,
    measure: str,
    clients: int,
    number: int,
) -> Point:
    def take() -> Load:
        with within(session.plan.seconds + LOAD_TIMEOUT_S):
            return running.client.load(workload.requests, clients, session.plan.seconds)

    _signal(running, signal.SIGCONT)
    try:
        time.sleep(SETTLE_S)
        load, disturbance, attempts = undisturbed(take, running, session.plan.retakes)
    finally:
        _signal(running, signal.SIGSTOP)
    return Point(
        measure,
        running.name,
        clients,
        number,
        load.requests_per_second,
        load.p50_us,
        load.p99_us,
        attempts,
        disturbance.others,
        disturbance.steal,
    )


@contextlib.contextmanager
def _frozen(running: Running) -> Iterator[None]:
    """Keep a side that is not its turn from using the processor: Ray never rests."""
    _signal(running, signal.SIGSTOP)
    try:
        yield
    finally:
        _signal(running, signal.SIGCONT)


def _signal(running: Running, number: signal.Signals) -> None:
    for process in running.processes():
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(number)
