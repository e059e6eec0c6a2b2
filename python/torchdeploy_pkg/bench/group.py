"""The processes of one strategy, which start, answer, run and end together."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torchdeploy_pkg.bench.actor import Actor, stop_all
from torchdeploy_pkg.bench.results import Start
from torchdeploy_pkg.bench.smaps import pss_mb
from torchdeploy_pkg.bench.subjects import Asked, InProcess, Plain, Served
from torchdeploy_pkg.bench.worker import Turn, Worker, now_s

if TYPE_CHECKING:
    from types import TracebackType

    from torchdeploy_pkg.bench.subjects import Plan
    from torchdeploy_pkg.bench.values import Values

_START_TIMEOUT_S = 1800.0  # torch.compile takes minutes for some models.
_CALL_TIMEOUT_S = 600.0
_LEAD_S = 0.01  # For one more process to hear of a turn; all wait for its begin.


@dataclass(frozen=True, slots=True)
class Request:
    """Inputs, and what plain Python answers."""

    inputs: Values
    expected: Values


class Group:
    """One process with all replicas, or, with the strategy "processes", one for each.

    Over gRPC each of them is a server, and there is a process for each thread that asks: of
    clients in one Python only one could be busy.

    Args:
        plan: What is measured; `replicas` is the number of all.
        over_grpc: Whether calls go over gRPC.
    """

    def __init__(self, plan: Plan, *, over_grpc: bool) -> None:
        self.strategy = plan.strategy
        self._plan = plan
        self._started_s = now_s()
        self._kind = Served if over_grpc else Plain if plan.strategy.processes else InProcess
        self._hosts: list[Actor] = []
        self._callers: list[Actor] = []
        self._urls: list[str] = []

    def __enter__(self) -> Group:
        plan = self._plan
        plans = [plan]
        if plan.strategy.processes:
            folders = [plan.folder / str(index) for index in range(plan.replicas)]
            plans = [replace(plan, replicas=1, folder=folder) for folder in folders]
        with ExitStack() as ending:
            ending.callback(self.stop)
            for each in plans:
                each.folder.mkdir(parents=True)
                self._hosts.append(Actor(each.folder / "log", Worker, self._kind, each))
            ending.pop_all()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """End all processes; once is enough."""
        actors = (*self._callers, *self._hosts)
        self._callers, self._hosts = [], []
        stop_all(actors)

    def wait_until_ready(self, request: Request) -> tuple[Start, str]:
        """Wait until every replica has answered; how it began, and what is wrong with answers."""
        for host in self._hosts:
            host.receive(_START_TIMEOUT_S)
        wrong = self.check(request)
        ready_s = now_s() - self._started_s
        places = [host.call("place", timeout_s=_CALL_TIMEOUT_S) for host in self._hosts]
        self._urls = [url for _, url in places if url]
        memory_mb = pss_mb(process_id for process_id, _ in places)
        return Start(self._plan.replicas, ready_s, memory_mb), wrong

    def check(self, request: Request) -> str:
        """Call each replica; how an answer differs from what is expected, or ""."""
        for host in self._hosts:
            host.send("check", request.inputs, request.expected)
        found = [host.receive(_START_TIMEOUT_S) for host in self._hosts]
        return next(filter(None, found), "")

    def run(self, request: Request, threads: int, seconds: float) -> Turn:
        """Let so many threads call, each in a process of its own where there are several."""
        callers = self._callers_for(threads)
        for caller in callers:
            caller.send("prepare", request.inputs, threads // len(callers))
        for caller in callers:
            caller.receive(_CALL_TIMEOUT_S)
        begin_at_s = now_s() + _LEAD_S * len(callers)
        for caller in callers:
            caller.send("run", begin_at_s, seconds)
        return Turn.together([caller.receive(seconds + _CALL_TIMEOUT_S) for caller in callers])

    def _callers_for(self, threads: int) -> list[Actor]:
        if not self._urls:
            return self._hosts[:threads]
        for index in range(len(self._callers), threads):
            url = self._urls[index % len(self._urls)]
            caller = Actor(self._plan.folder / f"client-{index}.log", Worker, Asked, url)
            self._callers.append(caller)
            caller.receive(_CALL_TIMEOUT_S)
        return self._callers[:threads]
