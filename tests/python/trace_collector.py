"""A collector of traces: OpenTelemetry's published service, on a real socket."""

from __future__ import annotations

import contextlib
import threading
from concurrent import futures
from typing import TYPE_CHECKING, Any

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Iterator


class TraceCollector(trace_service_pb2_grpc.TraceServiceServicer):  # type: ignore[misc, unused-ignore]
    """Keeps what it gets."""

    def __init__(self) -> None:
        self.endpoint = ""
        self._changed = threading.Condition()
        self._spans: list[Any] = []
        self.resource: dict[str, str] = {}

    def Export(self, request: Any, _context: Any) -> Any:  # noqa: N802
        with self._changed:
            for resource in request.resource_spans:
                for attribute in resource.resource.attributes:
                    self.resource[attribute.key] = attribute.value.string_value
                for scope in resource.scope_spans:
                    self._spans += scope.spans
            self._changed.notify_all()
        return trace_service_pb2.ExportTraceServiceResponse()

    def await_spans(self, name: str, count: int = 1, timeout_s: float = 30) -> list[Any]:
        """The spans of that name, when there are as many.

        Raises:
            TimeoutError: There are fewer after `timeout_s` seconds.
        """

        def named() -> list[Any]:
            return [span for span in self._spans if span.name == name]

        with self._changed:
            if not self._changed.wait_for(lambda: len(named()) >= count, timeout_s):
                msg = f"{len(named())} spans {name!r} of {count}"
                raise TimeoutError(msg)
            return named()


@contextlib.contextmanager
def collecting() -> Iterator[TraceCollector]:
    """Runs one."""
    collector = TraceCollector()
    server = grpc.server(futures.ThreadPoolExecutor(2))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(  # type: ignore[no-untyped-call]
        collector, server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    collector.endpoint = f"http://127.0.0.1:{port}"
    server.start()
    try:
        yield collector
    finally:
        server.stop(None)
