"""TorchScript in a process of its own, without a server."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from environments import FOLDER, python_of
from load import Load
from side import Deployment, Launch, environment_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from subprocess import Popen

    from workloads import Array, Request, Workload


@dataclass
class LoopClient:
    """Tells `servers/torchscript_loop.py` what to do, over its standard input."""

    process: Popen[str]
    workload: Workload

    def ask(self, request: Request) -> Array:
        """The answer to one of the workload's requests."""
        answers = self._tell({})
        index = next(i for i, each in enumerate(self.workload.requests) if each is request)
        return np.array(answers[index], np.float32)

    def load(self, _: Sequence[Request], clients: int, seconds: int) -> Load:
        """Call from so many threads."""
        told = self._tell({"clients": clients, "seconds": seconds})
        return Load(**told, errors=0, answer_bytes=0)

    def _tell(self, what: dict[str, int]) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(what) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            msg = "the process ended"
            raise RuntimeError(msg)
        return json.loads(line)


class TorchScriptSide:
    """Threads share one model, and the GIL outside of it; replicas mean nothing."""

    name = "torchscript"
    title = "TorchScript, in process"
    settings = (
        "torch 2.13.0: `torch.jit.load` and a Python thread for each client; no server, no "
        "connection, no requests to read; MiniLM traced, its tokens made in Python"
    )
    environment = "torchscript"
    joins = False
    copies_weights = False
    loads_while_serving = False
    is_server = False

    def launch(self, deployment: Deployment) -> Launch:
        """`servers/torchscript_loop.py`."""

        def connect(process: Popen[str]) -> LoopClient:
            return LoopClient(process, deployment.workload)

        return Launch(
            [python_of(self.name), FOLDER / "servers" / "torchscript_loop.py"],
            environment_of(self.name, deployment, 0),
            connect,
            is_asked_on_stdin=True,
        )
