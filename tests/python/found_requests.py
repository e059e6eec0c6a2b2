"""Requests that once got a wrong answer, or that nearly did: each is sent on every run."""

from __future__ import annotations

from typing import Any

from request_oracle import LONGEST_ID, Tensor
from tritonclient.grpc import service_pb2


def request_to(model: str, *tensors: Tensor, **fields: Any) -> Any:
    request = service_pb2.ModelInferRequest(model_name=model, **fields)
    for tensor in tensors:
        request.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.shape)
        request.raw_input_contents.append(tensor.raw)
    return request


def ending_at_once(request: Any) -> Any:
    request.parameters["timeout"].int64_param = 1
    request.outputs.add(name="absent")
    return request


FOUND = [
    # Lists without elements were sent as FP64.
    request_to(
        "mixed",
        Tensor("x", "FP32", (0, 0), b""),
        Tensor("labels", "BYTES", (0,), b""),
        Tensor("blobs", "BYTES", (0,), b""),
        Tensor("scale", "FP64", (1,), bytes(8)),
    ),
    # 48 bytes that were 7 GB.
    request_to("mirror", Tensor("x", "BYTES", (2**20, *[1] * 20, 0), b"")),
    request_to("mirror", Tensor("x", "BYTES", (2**15, *[1] * 63), bytes(4 * 2**15))),
    # As many dimensions as torch has are more than a result may have lists.
    request_to("mirror", Tensor("x", "BYTES", (1,) * 64, bytes(4))),
    request_to("mirror", Tensor("x", "FP32", (1,) * 64, bytes(4))),
    request_to("mirror", Tensor("x", "FP64", (2**59, 0), b"")),
    request_to("mirror", Tensor("", "INT8", (), b"a"), Tensor("OUTPUT__0", "INT8", (), b"b")),
    request_to("mirror", Tensor("self", "INT8", (), b"a")),
    request_to("mirror", id="i" * LONGEST_ID),
    request_to("mirror", id="i" * (LONGEST_ID + 1)),
    ending_at_once(request_to("mirror", Tensor("x", "INT8", (), b"a"))),
]
