"""What one writes first: grpcio, one Python process, the model called on grpcio's threads."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import grpc
from hosted_model import PORT, HostedModel
from oip_messages import request_of, response_of
from tritonclient.grpc import service_pb2, service_pb2_grpc

THREADS = 16  # As many as there are clients at most.


class Service(service_pb2_grpc.GRPCInferenceServiceServicer):
    """Answers ModelInfer, and nothing else."""

    def __init__(self) -> None:
        self._model = HostedModel()

    def ModelInfer(  # noqa: N802 - gRPC's name
        self, request: service_pb2.ModelInferRequest, _context: grpc.ServicerContext
    ) -> service_pb2.ModelInferResponse:
        """Call the model for one request."""
        return response_of(self._model([request_of(request)])[0])


def main() -> None:
    """Serve until SIGTERM."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    server = grpc.server(ThreadPoolExecutor(THREADS))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Service(), server)
    server.add_insecure_port(f"127.0.0.1:{PORT}")
    server.start()
    signal.sigwait({signal.SIGTERM})
    server.stop(grace=1).wait()


if __name__ == "__main__":
    main()
