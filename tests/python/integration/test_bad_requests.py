"""Generated requests over the wire: each gets the status and the answer that the protocol says."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import torch
from found_requests import FOUND
from generated_requests import messages, requests
from google.protobuf.message import DecodeError
from grpc import StatusCode as Code
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st
from mirror_models import Mirror, Mixed
from request_oracle import Expected, Oracle, Output, Spec
from torch.package.package_exporter import PackageExporter
from tritonclient.grpc import service_pb2

from torchdeploy_pkg import Client, Server, package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Test = Callable[..., None]

pytestmark = pytest.mark.integration

# A request that takes longer counts as one that hangs.
LONGEST_S = 10.0
# docs/testing.md: more of them, other ones each time.
EXAMPLES = int(os.environ.get("BAD_REQUEST_EXAMPLES", "0"))
MOST_MESSAGE_BYTES = 2**31 - 1
SPECS = {
    "x": Spec("FP32", (-1, -1)),
    "labels": Spec("BYTES", (-1,)),
    "blobs": Spec("BYTES", (-1,)),
    "scale": Spec("FP64", (1,)),
}
ORACLE = Oracle(SPECS)


def generated(examples: int) -> settings:
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def with_found_requests(test: Test) -> Test:
    for request in FOUND:
        test = example(request=request)(test)
    return test


class Wire:
    """A server process, and what sends it bytes."""

    def __init__(self, server: Server, channel: grpc.Channel) -> None:
        self.server = server
        service = "/inference.GRPCInferenceService"
        response, streamed = service_pb2.ModelInferResponse, service_pb2.ModelStreamInferResponse
        self._infer = channel.unary_unary(
            f"{service}/ModelInfer", response_deserializer=response.FromString
        )
        self._stream = channel.stream_stream(
            f"{service}/ModelStreamInfer", response_deserializer=streamed.FromString
        )

    def infer(self, message: bytes) -> tuple[Code, Any]:
        """Status and response, or details."""
        try:
            return Code.OK, self._infer(message, timeout=LONGEST_S)
        except grpc.RpcError as error:
            return error.code(), error.details()

    def stream(
        self, messages: list[bytes], *, ends_at_error: bool = False
    ) -> tuple[Code, list[Any]]:
        """Status and all responses before it."""
        metadata = [("triton_grpc_error", "true")] if ends_at_error else []
        call = self._stream(iter(messages), timeout=LONGEST_S, metadata=metadata)
        responses = []
        try:
            responses.extend(call)
        except grpc.RpcError as error:
            return error.code(), responses
        return Code.OK, responses

    def require_good_answers(self) -> None:
        process = self.server._process
        assert process is not None
        assert process.poll() is None, "the server has ended"
        for request in good_requests():
            code, answer = self.infer(request.SerializeToString())
            assert code == Code.OK, answer
            require_answer(request, answer, ORACLE.expect(request))


def good_requests() -> Iterator[Any]:
    mirror = service_pb2.ModelInferRequest(model_name="mirror", id="good")
    mirror.inputs.add(name="a", datatype="INT16", shape=[2])
    mirror.raw_input_contents.append(b"abcd")
    yield mirror
    mixed = service_pb2.ModelInferRequest(model_name="mixed", id="good")
    for name, spec in SPECS.items():
        mixed.inputs.add(name=name, datatype=spec.datatype, shape=[1] * len(spec.shape))
    elements = {"FP32": b"\0\0\x80?", "FP64": bytes(8), "BYTES": b"\1\0\0\0a"}
    mixed.raw_input_contents.extend(elements[spec.datatype] for spec in SPECS.values())
    yield mixed


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    models = tmp_path_factory.mktemp("models")
    for name in ("mirror", "mixed"):
        (models / name / "1").mkdir(parents=True)
    with PackageExporter(str(models / "mirror/1/model.pt")) as exporter:
        exporter.intern("mirror_models")
        exporter.extern("torch.**")
        exporter.save_pickle("model", "model.pkl", Mirror())
    example = {"x": torch.ones(2, 4), "labels": ["a", "b"], "blobs": [b"a", b"b"], "scale": 0.5}
    package(Mixed().eval(), models / "mixed/1/model.pt", name="mixed", example_inputs=example)
    with Server(models, interpreters=2, intra_op_threads=1) as server:
        options = [("grpc.max_receive_message_length", MOST_MESSAGE_BYTES)]
        with grpc.insecure_channel(server.url, options=options) as channel:
            yield Wire(server, channel)


@pytest.fixture(autouse=True)
def server_lives_on(wire: Wire) -> Iterator[None]:
    """The process that was started answers good requests before and after each test."""
    wire.require_good_answers()
    yield
    wire.require_good_answers()


def outputs_of(response: Any) -> tuple[Output, ...]:
    raw = response.raw_output_contents
    assert len(raw) == len(response.outputs)
    return tuple(
        Output(output.name, output.datatype, tuple(output.shape), data)
        for output, data in zip(response.outputs, raw, strict=True)
    )


def require_answer(request: Any, response: Any, expected: Expected) -> None:
    assert response.id == request.id
    assert (response.model_name, response.model_version) == (request.model_name, "1")
    assert outputs_of(response) == expected.outputs


def test_the_oracle_knows_what_the_manifest_declares(wire: Wire) -> None:
    with Client(wire.server.url) as client:
        inputs = client.metadata("mixed").inputs
    assert {spec.name: Spec(spec.datatype, spec.shape or ()) for spec in inputs} == SPECS


@with_found_requests
@generated(2000)
@given(request=requests(SPECS))
def test_each_request_gets_the_status_and_the_answer_of_the_protocol(
    wire: Wire, request: Any
) -> None:
    expected = ORACLE.expect(request)
    code, answer = wire.infer(request.SerializeToString())
    event(code.name)
    assert code in expected.codes, answer
    if code == Code.OK:
        require_answer(request, answer, expected)
    else:
        assert answer, "a refusal says why"


@generated(600)
@given(message=messages(SPECS))
def test_bytes_that_are_no_request_are_refused(wire: Wire, message: bytes) -> None:
    try:
        codes = ORACLE.expect(service_pb2.ModelInferRequest.FromString(message)).codes
    except DecodeError:
        # NOT_FOUND for the few of which the server's parser makes something.
        codes = frozenset({Code.NOT_FOUND, Code.INVALID_ARGUMENT})
    code, answer = wire.infer(message)
    event(code.name)
    assert code in codes, answer


@generated(100)
@given(batch=st.lists(requests(SPECS), max_size=20))
def test_each_request_of_a_stream_is_answered_for_itself(wire: Wire, batch: list[Any]) -> None:
    for i, request in enumerate(batch):
        request.id = f"{i} {request.id[:100]}"
    code, responses = wire.stream([request.SerializeToString() for request in batch])
    assert code == Code.OK
    assert len(responses) == len(batch)
    for response in responses:
        request = batch[int(response.infer_response.id.split()[0])]
        expected = ORACLE.expect(request)
        assert response.infer_response.id == request.id
        if response.error_message:
            assert expected.codes != {Code.OK}, response.error_message
        else:
            assert Code.OK in expected.codes
            require_answer(request, response.infer_response, expected)


@generated(50)
@given(batch=st.lists(requests(SPECS), min_size=1, max_size=10))
def test_a_stream_that_ends_at_an_error_ends_with_its_status(wire: Wire, batch: list[Any]) -> None:
    data = [request.SerializeToString() for request in batch]
    code, responses = wire.stream(data, ends_at_error=True)
    expected = [ORACLE.expect(request).codes for request in batch]
    assert not any(response.error_message for response in responses)
    if code == Code.OK:
        assert all(Code.OK in codes for codes in expected)
        assert len(responses) == len(batch)
    else:
        assert any(code in codes for codes in expected)


@generated(50)
@given(
    batch=st.lists(requests(SPECS), max_size=5),
    message=st.sampled_from([b"\x0a\x05ab", b"\x0a\x01\xff", b"\x07", b"\xff" * 11]),
)
def test_a_stream_ends_at_bytes_that_are_no_request(
    wire: Wire, batch: list[Any], message: bytes
) -> None:
    data = [request.SerializeToString() for request in batch]
    code, responses = wire.stream([*data, message, *data])
    assert code == Code.INVALID_ARGUMENT
    assert len(responses) == len(batch)
