"""LitServe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from environments import FOLDER, python_of
from http_client import HttpClient
from side import Deployment, Launch, environment_of

if TYPE_CHECKING:
    from subprocess import Popen


class LitServeSide:
    """A process for each replica, and as many that speak HTTP."""

    name = "litserve"
    title = "LitServe"
    settings = (
        "litserve 0.2.19: `workers_per_device` = replicas, `fast_queue`, as many API servers as "
        "workers (its default), access log off; HTTP with bytes in the bodies instead of JSON"
    )
    environment = "litserve"
    joins = True
    copies_weights = True
    loads_while_serving = False
    is_server = True

    def launch(self, deployment: Deployment) -> Launch:
        """`servers/litserve_server.py`."""
        (port,) = deployment.ports.free(1)

        def connect(_: Popen[str]) -> HttpClient:
            url = f"http://127.0.0.1:{port}/predict"
            return HttpClient(url, deployment.workload, deployment.folder)

        return Launch(
            [python_of(self.name), FOLDER / "servers" / "litserve_server.py"],
            environment_of(self.name, deployment, port),
            connect,
        )
