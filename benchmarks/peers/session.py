"""One run: deploys sides, checks them, and keeps what is measured."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import torch
from disturbance import MOST_SHARE, Disturbance, Observation
from results import Failure, Plan, Results
from running import Running, check_all, started, wait_for_answer
from side import REPLICAS, Deployment, Ports
from tritonclient.utils import InferenceServerException
from workloads import Workload, answers_of, model_from_file, plain_model

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from side import Launch, Side
    from workloads import Array

T = TypeVar("T")

# Whatever a peer may fail with: its figure is then missing with this reason, the run goes on.
FAILURES = (OSError, RuntimeError, subprocess.SubprocessError, InferenceServerException)


@dataclass
class Session:
    """One run.

    Attributes:
        folder: For everything that is written while it lasts.
        plan: How much is measured.
        say: Called with each step.
        results: What was measured so far.
    """

    folder: Path
    plan: Plan
    say: Callable[[str], None]
    results: Results = field(default_factory=Results)
    _ports: Ports = field(default_factory=Ports)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _expected: dict[str, list[Array]] = field(default_factory=dict)

    @contextlib.contextmanager
    def deployed(
        self, side: Side, workload: Workload, *, replicas: int = REPLICAS, is_joined: bool = False
    ) -> Iterator[Deployment]:
        """A deployment with a folder that is there for the block."""
        # A short name, for Ray puts sockets below it.
        folder = self.folder / str(next(self._numbers))
        folder.mkdir()
        weights = self._weights(workload) if workload.has_weights_file else None
        try:
            yield Deployment(
                workload, replicas, is_joined and side.joins, folder, self._ports, weights
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @contextlib.contextmanager
    def starting(
        self, side: Side, workload: Workload, *, replicas: int = REPLICAS, is_joined: bool = False
    ) -> Iterator[tuple[Running, Deployment]]:
        """A side that has been started, and is not asked yet."""
        with self.deployed(side, workload, replicas=replicas, is_joined=is_joined) as deployment:
            launch = side.launch(deployment)
            with self.started(side, deployment, launch) as running:
                yield running, deployment

    def started(
        self, side: Side, deployment: Deployment, launch: Launch
    ) -> AbstractContextManager[Running]:
        """See `running.started`."""
        return started(side.name, launch, log_of(deployment))

    def prove(self, measure: str, running: Running, deployment: Deployment) -> None:
        """Wait for the first answer, and check all."""
        self.wait_for_answer(running, deployment)
        self.check(measure, running, deployment)

    def wait_for_answer(self, running: Running, deployment: Deployment) -> None:
        """Wait for the first answer, which must be right."""
        expected = self.expected(deployment.workload)[0]
        wait_for_answer(running, deployment.workload, expected, log_of(deployment))

    def check(self, measure: str, running: Running, deployment: Deployment) -> None:
        """Compare all answers with plain Python's, and keep the largest difference."""
        workload = deployment.workload
        at_once = deployment.max_batch  # So that requests are joined, if that is asked for.
        difference = check_all(running, workload, self.expected(workload), at_once)
        self.results.differences.setdefault(measure, {})[running.name] = difference
        self.results.libpythons.setdefault(running.name, running.libpythons())

    def expected(self, workload: Workload) -> list[Array]:
        """What plain Python answers, from one thread as on all sides."""
        if workload.name not in self._expected:
            torch.set_num_threads(1)
            model = (
                model_from_file(workload, self._weights(workload))
                if workload.has_weights_file
                else plain_model(workload)
            )
            self._expected[workload.name] = [
                answers_of(model, workload, [request])[0].copy() for request in workload.requests
            ]
        return self._expected[workload.name]

    @contextlib.contextmanager
    def failing_alone(self, measure: str, side: Side | Running) -> Iterator[None]:
        """A failure of a side within the block is kept, and ends only the block."""
        try:
            yield
        except FAILURES as error:
            self.say(f"{measure}: {side.name} FAILED: {error}")
            self.results.failures.append(Failure(measure, side.name, str(error)))

    def _weights(self, workload: Workload) -> Path:
        path = self.folder / f"{workload.name.removesuffix('_mapped')}.pt"
        if not path.exists():
            torch.save(plain_model(workload).state_dict(), path)
        return path


def log_of(deployment: Deployment) -> Path:
    """What the side prints."""
    return deployment.folder / "log"


def undisturbed(
    take: Callable[[], T], running: Running, retakes: int
) -> tuple[T, Disturbance, int]:
    """Take a figure, and again while it is disturbed.

    Returns:
        The least disturbed figure, what disturbed it, and how often it was taken.
    """
    taken: list[tuple[T, Disturbance]] = []
    while not taken or (taken[-1][1].share > MOST_SHARE and len(taken) <= retakes):
        observation = Observation(running.cpu_s())
        figure = take()
        taken.append((figure, observation.end(running.cpu_s())))
    figure, disturbance = min(taken, key=lambda each: each[1].share)
    return figure, disturbance, len(taken)
