"""Ray Serve: replicas that are actors, behind its gRPC proxy."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING, Any

import ray
from hosted_model import MAX_BATCH, MAX_DELAY_MS, PORT, REPLICAS, HostedModel
from oip_messages import request_of, response_of
from ray import serve

if TYPE_CHECKING:
    from tritonclient.grpc import service_pb2

SERVICER = "tritonclient.grpc.service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server"
MOST_UNDER_WAY = 16  # Per replica: as many as there are clients at most; by default 5.


class Single:
    """Each request is a call of its own."""

    def __init__(self) -> None:
        self._model = HostedModel()

    def ModelInfer(  # noqa: N802 - gRPC's name
        self, request: service_pb2.ModelInferRequest
    ) -> service_pb2.ModelInferResponse:
        """Call the model for one request."""
        return response_of(self._model([request_of(request)])[0])


class Joined:
    """Requests that wait are joined."""

    def __init__(self) -> None:
        self._model = HostedModel()

    async def ModelInfer(  # noqa: N802
        self, request: service_pb2.ModelInferRequest
    ) -> service_pb2.ModelInferResponse:
        """Wait for the answer of a batch."""
        return await self._infer(request)

    @serve.batch(max_batch_size=MAX_BATCH, batch_wait_timeout_s=MAX_DELAY_MS / 1000)
    async def _infer(self, requests: list[Any]) -> list[Any]:
        answers = self._model([request_of(request) for request in requests])
        return [response_of(answer) for answer in answers]


def free_port() -> int:
    """A port of the loopback device that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def main() -> None:
    """Serve until SIGTERM, on a cluster of its own."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    ray.init(
        address="local",
        num_cpus=max(REPLICAS, os.cpu_count() or 1),
        include_dashboard=False,
        log_to_driver=False,
        logging_level="WARNING",
        _temp_dir=os.environ["PEER_FOLDER"],
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": free_port(), "access_log": False},
        grpc_options={"port": PORT, "grpc_servicer_functions": [SERVICER]},
        logging_config={"log_level": "WARNING", "enable_access_log": False},
    )
    deployment = serve.deployment(
        Joined if MAX_BATCH > 1 else Single,
        name="model",
        num_replicas=REPLICAS,
        max_ongoing_requests=MOST_UNDER_WAY,
        ray_actor_options={"num_cpus": 0},
        logging_config={"log_level": "WARNING", "enable_access_log": False},
    )
    serve.run(deployment.bind(), name="peers", route_prefix="/")
    signal.sigwait({signal.SIGTERM})
    ray.shutdown()  # Without serve.shutdown(), which would drain for 30 s: the cluster ends.


if __name__ == "__main__":
    main()
