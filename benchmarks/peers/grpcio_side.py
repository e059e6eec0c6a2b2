"""A plain grpcio server in one Python process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from environments import FOLDER, python_of
from oip_client import OipClient
from side import Deployment, Launch, environment_of

if TYPE_CHECKING:
    from subprocess import Popen


class GrpcioSide:
    """One process whatever the replicas: its threads share a model and a GIL."""

    name = "grpcio"
    title = "plain grpcio"
    settings = (
        "grpcio 1.85.1: `grpc.server` with 16 threads in one process, one model for all of them; "
        "Open Inference Protocol over gRPC; no batching"
    )
    environment = "grpcio"
    joins = False
    copies_weights = False
    loads_while_serving = False
    is_server = True

    def launch(self, deployment: Deployment) -> Launch:
        """`servers/grpcio_server.py`."""
        (port,) = deployment.ports.free(1)

        def connect(_: Popen[str]) -> OipClient:
            return OipClient(port, deployment.workload, deployment.folder)

        return Launch(
            [python_of(self.name), FOLDER / "servers" / "grpcio_server.py"],
            environment_of(self.name, deployment, port),
            connect,
        )
