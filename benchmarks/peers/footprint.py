"""Memory of replicas, and the time until a server, or a model, answers."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from deadline import within
from disturbance import Observation
from results import Value
from session import FAILURES
from workloads import IDENTITY_16, wide

if TYPE_CHECKING:
    from collections.abc import Sequence

    from session import Session
    from side import LoadsWhileServing, Side
    from workloads import Workload

TOUCH_CLIENTS, TOUCH_S = 16, 2  # So that each replica has been called.
LOAD_TIMEOUT_S = 60.0  # Beyond the time of the load itself.
READY_TIMEOUT_S = 120.0
POLL_S = 0.05


def measure_memory(session: Session, sides: Sequence[Side]) -> None:
    """PSS of all processes of a side, with so many replicas that have all been called."""
    read, mapped = (wide(session.plan.memory_mb, is_mapped=each) for each in (False, True))
    for replicas in session.plan.replicas:
        for side in sides:
            _memory(session, side, read, replicas)
    for side in sides:
        if side.copies_weights:
            _memory(session, side, mapped, max(session.plan.replicas))


def _memory(session: Session, side: Side, workload: Workload, replicas: int) -> None:
    measure = f"memory_{replicas}{'_mapped' * workload.is_mapped}"
    with (
        session.failing_alone(measure, side),
        session.starting(side, workload, replicas=replicas) as (running, deployment),
    ):
        session.prove(measure, running, deployment)
        with within(TOUCH_S + LOAD_TIMEOUT_S):
            running.client.load(workload.requests, TOUCH_CLIENTS, TOUCH_S)
        value = Value(measure, side.name, 0, running.pss_mb())
        session.results.values.append(value)
        session.say(f"{measure}: {side.name}: {value.value:.0f} MB")


def measure_ready(session: Session, sides: Sequence[Side]) -> None:
    """Seconds from a start to the first right answer, with a small and with a large model."""
    workloads = {"ready": IDENTITY_16, "ready_large": wide(session.plan.load_mb)}
    for number in range(session.plan.starts):
        for measure, workload in workloads.items():
            for side in sides:
                with session.failing_alone(measure, side):
                    _keep(session, _ready(session, measure, side, workload, number))


def measure_load(session: Session, sides: Sequence[Side]) -> None:
    """Seconds from asking a running server for a large model to that model's first right answer."""
    workload = wide(session.plan.load_mb)
    for number in range(session.plan.starts):
        for side in sides:
            if side.loads_while_serving:
                with session.failing_alone("load", side):
                    loading = cast("LoadsWhileServing", side)
                    _keep(session, _load(session, loading, workload, number))


def _keep(session: Session, value: Value) -> None:
    session.results.values.append(value)
    session.say(f"{value.measure}: {value.side}: {value.value:.1f} s")


def _ready(session: Session, measure: str, side: Side, workload: Workload, number: int) -> Value:
    session.expected(workload)  # Made before the time begins to count.
    with session.deployed(side, workload) as deployment:
        launch = side.launch(deployment)
        observation = Observation(0.0)
        begin = time.perf_counter()
        with session.started(side, deployment, launch) as running:
            session.wait_for_answer(running, deployment)
            took_s = time.perf_counter() - begin
            found = observation.end(running.cpu_s())
            session.check(measure, running, deployment)
    return Value(measure, side.name, number, took_s, found.others, found.steal)


def _load(session: Session, side: LoadsWhileServing, workload: Workload, number: int) -> Value:
    session.expected(workload)
    with session.deployed(side, workload) as deployment:
        launch = side.launch_empty(deployment)
        with session.started(side, deployment, launch) as running:
            _wait_until_ready(side)
            observation = Observation(running.cpu_s())
            begin = time.perf_counter()
            side.load_model(deployment)
            session.wait_for_answer(running, deployment)
            took_s = time.perf_counter() - begin
            found = observation.end(running.cpu_s())
            session.check("load", running, deployment)
    return Value("load", side.name, number, took_s, found.others, found.steal)


def _wait_until_ready(side: LoadsWhileServing) -> None:
    end = time.perf_counter() + READY_TIMEOUT_S
    while not _is_ready(side):
        if time.perf_counter() > end:
            msg = f"not ready within {READY_TIMEOUT_S:.0f} s"
            raise RuntimeError(msg)
        time.sleep(POLL_S)


def _is_ready(side: LoadsWhileServing) -> bool:
    try:
        return side.is_ready()
    except FAILURES:
        return False
