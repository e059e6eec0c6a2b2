"""A small server of the protocol on tritonclient's messages, to test the client against.

Run as a program, since its messages are tritonclient's: prints its port, then serves model
"echo", which gives back its inputs, until stdin is closed.
"""

from __future__ import annotations

import sys
from concurrent import futures
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc


class Echo(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc, unused-ignore]
    def ServerReady(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        return service_pb2.ServerReadyResponse(ready=True)

    def ModelReady(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.name == "absent":
            context.abort(grpc.StatusCode.NOT_FOUND, "no model 'absent'")
        return service_pb2.ModelReadyResponse(ready=request.name == "echo")

    def ModelMetadata(self, request: Any, _context: Any) -> Any:  # noqa: N802
        answer = service_pb2.ModelMetadataResponse(name=request.name, versions=["1", "2"])
        answer.platform = "pytorch"
        answer.inputs.add(name="x", datatype="FP32", shape=[-1, 3])
        answer.outputs.add(name="x", datatype="FP32", shape=[-1, 3])
        return answer

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.model_name == "raises":
            trailers = (
                ("torchdeploy-error-type", "my.TooLong"),
                ("torchdeploy-traceback-bin", "Traceback: größer".encode()),
            )
            context.set_trailing_metadata(trailers)
            context.abort(grpc.StatusCode.UNKNOWN, "17 > 16")
        if request.model_name != "echo":
            context.abort(grpc.StatusCode.NOT_FOUND, f"no model {request.model_name!r}")
        answer = service_pb2.ModelInferResponse(model_name="echo", model_version="1")
        asked = {output.name for output in request.outputs}
        for tensor, raw in zip(request.inputs, request.raw_input_contents, strict=True):
            if not asked or tensor.name in asked:
                answer.outputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
                answer.raw_output_contents.append(raw)
        return answer


def main() -> None:
    server = grpc.server(futures.ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Echo(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)  # noqa: T201
    server.start()
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
