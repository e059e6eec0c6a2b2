"""What a side is: how it is started, and how it is asked."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from environments import FOLDER, python_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path
    from subprocess import Popen

    from load import Load
    from workloads import Array, Request, Workload

REPLICAS = 2  # A process, or an interpreter, for each core.
INTRA_OP_THREADS = 1
BATCH_ROWS = 8  # 16 clients fill one batch for each replica.
BATCH_DELAY_MS = 1.0


class Ports:
    """Ports of the loopback device that nobody listens on; none is given twice."""

    def __init__(self) -> None:
        self._given: set[int] = set()

    def free(self, count: int) -> list[int]:
        """So many."""
        ports: list[int] = []
        while len(ports) < count:
            with socket.socket() as listener:
                listener.bind(("127.0.0.1", 0))
                port: int = listener.getsockname()[1]
            if port not in self._given:
                self._given.add(port)
                ports.append(port)
        return ports


@dataclass(frozen=True)
class Deployment:
    """What a side is asked to serve.

    Attributes:
        workload: The only model.
        replicas: How often it is there.
        is_joined: Whether requests are joined into batches.
        folder: The side's own, for what it writes.
        ports: Where it gets its ports.
        weights: The file of a workload that has one.
    """

    workload: Workload
    replicas: int
    is_joined: bool
    folder: Path
    ports: Ports
    weights: Path | None = None

    @property
    def max_batch(self) -> int:
        """Rows of one call at most."""
        return BATCH_ROWS if self.is_joined else 1


class Client(Protocol):
    """How a running side is asked."""

    def ask(self, request: Request) -> Array:
        """One request; any OSError or RuntimeError means that there is no answer yet."""

    def load(self, requests: Sequence[Request], clients: int, seconds: int) -> Load:
        """Keep so many requests under way, each client on a connection of its own."""


class Connect(Protocol):
    """Makes the client of a side that has been started."""

    def __call__(self, process: Popen[str]) -> Client:
        """The client; the process is that of the side's command."""


@dataclass(frozen=True)
class Launch:
    """A command that serves until SIGTERM, and who asks it."""

    command: Sequence[object]
    environment: dict[str, str]
    connect: Connect
    is_asked_on_stdin: bool = False


class Side(Protocol):
    """One of those that are compared.

    Attributes:
        name: In commands and files.
        title: In the report.
        settings: In the report: what was set, and what was left.
        environment: Name of its virtual environment; None is this one.
        joins: Whether it has dynamic batching.
        copies_weights: Whether each replica reads the weights for itself.
        loads_while_serving: Whether it is a `LoadsWhileServing`, too.
        is_server: Whether requests reach it over a connection.
    """

    name: str
    title: str
    settings: str
    environment: str | None
    joins: bool
    copies_weights: bool
    loads_while_serving: bool
    is_server: bool

    def launch(self, deployment: Deployment) -> Launch:
        """Write what the side needs, which is not timed, and say how it is started."""


class LoadsWhileServing(Side, Protocol):
    """A side whose running server takes another model."""

    def launch_empty(self, deployment: Deployment) -> Launch:
        """As `launch`, but no model is served before `load_model`."""

    def is_ready(self) -> bool:
        """Whether the server of the last `launch_empty` has started."""

    def load_model(self, deployment: Deployment) -> None:
        """Ask the server of the last `launch_empty` for the deployment's model."""


def environment_of(name: str, deployment: Deployment, port: int) -> dict[str, str]:
    """Variables that `servers/hosted_model.py` reads, and those that keep all sides alike."""
    python_path = (FOLDER / "servers", FOLDER, FOLDER.parent)
    variables = {
        **os.environ,
        "PATH": f"{python_of(name).parent}:{os.environ['PATH']}",
        "VIRTUAL_ENV": str(python_of(name).parent.parent),
        "PYTHONPATH": ":".join(map(str, python_path)),
        "OMP_NUM_THREADS": str(INTRA_OP_THREADS),
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "PEER_WORKLOAD": deployment.workload.name,
        "PEER_PORT": str(port),
        "PEER_REPLICAS": str(deployment.replicas),
        "PEER_MAX_BATCH": str(deployment.max_batch),
        "PEER_MAX_DELAY_MS": str(BATCH_DELAY_MS),
        "PEER_FOLDER": str(deployment.folder),
    }
    if deployment.weights is not None:
        variables["PEER_WEIGHTS"] = str(deployment.weights)
    return variables
