"""Asks a server of the Open Inference Protocol: tritonclient checks, load_generator measures."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import tritonclient.grpc as triton
from load import load, write_request
from tritonclient.utils import InferenceServerException

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from load import Load
    from workloads import Array, Request, Workload

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class OipClient:
    """Of one workload on one server.

    Attributes:
        port: Of the loopback device.
        workload: What is asked.
        folder: For the files that load_generator reads.
        text_rank: Dimensions of a tensor of texts: Triton, when it joins requests, wants two.
    """

    port: int
    workload: Workload
    folder: Path
    text_rank: int = 1

    @property
    def url(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def ask(self, request: Request) -> Array:
        """Ask once, on a connection of its own.

        Raises:
            RuntimeError: There was an error instead of an answer.
        """
        socket.create_connection(("127.0.0.1", self.port), TIMEOUT_S).close()  # Else gRPC waits.
        value = self._value(request)
        tensor = triton.InferInput(
            self.workload.input, list(value.shape), "BYTES" if value.dtype == object else "FP32"
        )
        tensor.set_data_from_numpy(value)
        with triton.InferenceServerClient(self.url) as client:
            try:
                answer = client.infer(self.workload.name, [tensor], client_timeout=TIMEOUT_S)
            except InferenceServerException as error:
                raise RuntimeError(str(error)) from error
        array = answer.as_numpy(self.workload.output)
        if array is None:
            msg = f"{self.url} answered without {self.workload.output}"
            raise RuntimeError(msg)
        return array

    def load(self, requests: Sequence[Request], clients: int, seconds: int) -> Load:
        """load_generator, with a connection for each client."""
        files = [
            write_request(
                self.folder / f"request_{i}", self.workload.name, {self.workload.input: value}
            )
            for i, value in enumerate(map(self._value, requests))
        ]
        return load(self.url, files, concurrent=clients, channels=clients, seconds=seconds)

    def _value(self, request: Request) -> Array:
        if isinstance(request, str):
            return np.array(request.encode(), dtype=object).reshape((1,) * self.text_rank)
        return request
