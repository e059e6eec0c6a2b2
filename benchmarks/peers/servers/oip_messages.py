"""Requests and responses of the Open Inference Protocol, for servers that have no code for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hosted_model import WORKLOAD
from tritonclient.grpc import service_pb2

if TYPE_CHECKING:
    from workloads import Array, Request

LENGTH_BYTES = 4  # Before each text in raw contents.


def request_of(message: service_pb2.ModelInferRequest) -> Request:
    """The tensor or the text of a message."""
    raw = message.raw_input_contents[0]
    if WORKLOAD.is_text:
        return raw[LENGTH_BYTES:].decode()
    return np.frombuffer(raw, np.float32).reshape(tuple(message.inputs[0].shape))


def response_of(answer: Array) -> service_pb2.ModelInferResponse:
    """The message with one output."""
    message = service_pb2.ModelInferResponse(model_name=WORKLOAD.name)
    message.outputs.add(name=WORKLOAD.output, datatype="FP32", shape=answer.shape)
    message.raw_output_contents.append(answer.tobytes())
    return message
