"""What else ran during a measurement: other processes' CPU time, and what the hypervisor stole."""

from __future__ import annotations

import os
import resource
import time
from dataclasses import dataclass

import psutil

MOST_SHARE = 0.05  # Of all cores' time; beyond it a point is taken again.


@dataclass(frozen=True)
class Disturbance:
    """Shares of all cores' time.

    Attributes:
        others: Processes that are neither the side nor its client.
        steal: Other virtual machines, as far as the hypervisor says so.
    """

    others: float
    steal: float

    @property
    def share(self) -> float:
        """Of both."""
        return self.others + self.steal


class Observation:
    """From its making to `end`.

    Args:
        side_s: CPU time that the side has used so far.
    """

    def __init__(self, side_s: float) -> None:
        self._begin = time.perf_counter()
        self._own_s = side_s + _of_this_process_s()
        self._machine = psutil.cpu_times()

    def end(self, side_s: float) -> Disturbance:
        """What was neither the side nor its client, given the side's CPU time by now."""
        machine = psutil.cpu_times()
        own_s = side_s + _of_this_process_s() - self._own_s
        all_cores_s = (time.perf_counter() - self._begin) * (os.cpu_count() or 1)
        busy_s = _busy_s(machine) - _busy_s(self._machine)
        return Disturbance(
            max(0.0, busy_s - own_s) / all_cores_s,
            (machine.steal - self._machine.steal) / all_cores_s,
        )


def _busy_s(machine: psutil._psplatform.scputimes) -> float:
    total: float = machine.user + machine.nice + machine.system
    return total


def _of_this_process_s() -> float:
    """And of the load generators that it has waited for."""
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)
