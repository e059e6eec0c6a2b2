"""The ways to run one model that are compared."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Strategy:
    """One way to run a model.

    Attributes:
        name: What the command line calls it.
        title: What tables and plots call it.
        engine: Of the archive that it takes: "eager", "torchscript" or "aotinductor".
        compiled: Whether the interpreters run torch.compile.
        processes: Whether each replica is a process of its own.
        replicas: Whether there are as many as asked for; else there is one.
    """

    name: str
    title: str
    engine: str = "eager"
    compiled: bool = False
    processes: bool = False
    replicas: bool = True

    @property
    def has_replicas_of_its_own(self) -> bool:
        """Whether start and memory depend on the number of replicas."""
        return self.replicas and self.engine == "eager" and not self.compiled


STRATEGIES = {
    strategy.name: strategy
    for strategy in (
        Strategy("interpreter", "1 interpreter", replicas=False),
        Strategy("interpreters", "n interpreters"),
        Strategy("compiled", "n interpreters, torch.compile", compiled=True),
        Strategy("torchscript", "TorchScript", engine="torchscript"),
        Strategy("aotinductor", "AOTInductor", engine="aotinductor"),
        Strategy("processes", "n processes", processes=True),
    )
}
