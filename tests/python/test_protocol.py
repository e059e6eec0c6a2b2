"""The served protocol against the published one, descriptor by descriptor."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2
from tritonclient.grpc import model_config_pb2, service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

PROTOS = Path(__file__).resolve().parents[2] / "server/proto"
INFERENCE_PROTO = PROTOS / "open_inference_grpc.proto"
OTLP_PROTO = PROTOS / "otlp_trace.proto"
SERVICE = "inference.GRPCInferenceService"
CORE_METHODS = {
    "ServerLive": ("ServerLiveRequest", "ServerLiveResponse"),
    "ServerReady": ("ServerReadyRequest", "ServerReadyResponse"),
    "ModelReady": ("ModelReadyRequest", "ModelReadyResponse"),
    "ServerMetadata": ("ServerMetadataRequest", "ServerMetadataResponse"),
    "ModelMetadata": ("ModelMetadataRequest", "ModelMetadataResponse"),
    "ModelInfer": ("ModelInferRequest", "ModelInferResponse"),
}
TRITONS_METHODS = {
    name: (f"{name}Request", f"{name}Response")
    for name in (
        *("ModelConfig", "ModelStatistics", "RepositoryIndex"),
        *(f"SystemSharedMemory{verb}" for verb in ("Status", "Register", "Unregister")),
        *(f"CudaSharedMemory{verb}" for verb in ("Status", "Register", "Unregister")),
        *(f"RepositoryModel{verb}" for verb in ("Load", "Unload")),
        *("TraceSetting", "LogSettings"),
    )
}
STREAMING_METHODS = {"ModelStreamInfer": ("ModelInferRequest", "ModelStreamInferResponse")}
METHODS = CORE_METHODS | TRITONS_METHODS | STREAMING_METHODS
# Of these we have a part of the fields.
PARTIAL = {
    f"inference.{name}"
    for name in (
        *("ModelConfig", "ModelInput", "ModelOutput", "ModelInstanceGroup", "ModelQueuePolicy"),
        *("ModelDynamicBatching", "ModelSequenceBatching", "ModelStatistics"),
    )
}
# KServe's alone: Triton's messages have no such field.
KSERVE_FIELDS = {("inference.ModelMetadataResponse", "properties")}

FieldFacts = tuple[str, int, int, int, str, str]


def compile_proto(proto: Path, folder: Path) -> descriptor_pb2.FileDescriptorProto:
    protoc = shutil.which("protoc")
    assert protoc is not None, "protoc is not on PATH: install protobuf-compiler"
    out = folder / "descriptors.pb"
    command = [protoc, f"--proto_path={proto.parent}", f"--descriptor_set_out={out}", proto.name]
    subprocess.run(command, check=True)
    files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    assert len(files.file) == 1
    return files.file[0]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The descriptor of our file, in a pool of its own."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(compile_proto(INFERENCE_PROTO, tmp_path_factory.mktemp("proto")))
    return pool.FindFileByName(INFERENCE_PROTO.name)


def messages_in(container: Any) -> Iterator[Any]:
    """Every message of a file or message, nested ones and map entries included."""
    for message in container.values():
        yield message
        yield from messages_in(message.nested_types_by_name)


def facts_of(message: Any) -> dict[str, FieldFacts]:
    """What decides how each field travels: name, number, type, label, oneof, message type."""
    published = descriptor_pb2.DescriptorProto()
    message.CopyToProto(published)
    oneofs = [oneof.name for oneof in published.oneof_decl]
    return {
        field.name: (
            field.name,
            field.number,
            field.type,
            field.label,
            oneofs[field.oneof_index] if field.HasField("oneof_index") else "",
            field.type_name,
        )
        for field in published.field
        if (message.full_name, field.name) not in KSERVE_FIELDS
    }


def is_kserves(full_name: str) -> bool:
    return full_name == "inference.ModelMetadataResponse.PropertiesEntry"


def test_every_message_is_the_published_one(ours: Any) -> None:
    published = {
        message.full_name: message
        for file in (service_pb2, model_config_pb2)
        for message in messages_in(file.DESCRIPTOR.message_types_by_name)
    }
    compared = 0
    for message in messages_in(ours.message_types_by_name):
        if is_kserves(message.full_name):
            continue
        mine, theirs = facts_of(message), facts_of(published[message.full_name])
        if message.full_name in PARTIAL:
            theirs = {name: facts for name, facts in theirs.items() if name in mine}
        assert mine == theirs, message.full_name
        compared += 1
    assert compared >= 2 * len(METHODS) + len(("InferParameter", "InferTensorContents"))


def test_every_enum_is_the_published_one(ours: Any) -> None:
    def values_of(enum: Any) -> dict[str, int]:
        return {value.name: value.number for value in enum.values}

    types = model_config_pb2.DESCRIPTOR.enum_types_by_name["DataType"]
    assert values_of(ours.enum_types_by_name["DataType"]) == values_of(types)
    group = "ModelInstanceGroup"
    mine = ours.message_types_by_name[group].enum_types_by_name["Kind"]
    theirs = model_config_pb2.DESCRIPTOR.message_types_by_name[group].enum_types_by_name["Kind"]
    assert values_of(mine) == values_of(theirs)


def test_model_metadata_has_kserves_properties(ours: Any) -> None:
    field = ours.message_types_by_name["ModelMetadataResponse"].fields_by_name["properties"]
    assert field.number == 6
    entry = field.message_type
    assert entry.GetOptions().map_entry
    kinds = {name: (part.number, part.type) for name, part in entry.fields_by_name.items()}
    string = descriptor_pb2.FieldDescriptorProto.TYPE_STRING
    assert kinds == {"key": (1, string), "value": (2, string)}


def test_service_has_these_methods_alone(ours: Any) -> None:
    service = ours.services_by_name["GRPCInferenceService"]
    assert service.full_name == SERVICE
    methods = {m.name: (m.input_type.name, m.output_type.name) for m in service.methods}
    assert methods == METHODS


@pytest.mark.parametrize("method", METHODS)
def test_each_method_is_the_published_one(ours: Any, method: str) -> None:
    mine = ours.services_by_name["GRPCInferenceService"].methods_by_name[method]
    published = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    theirs = published.methods_by_name[method]
    assert mine.full_name == theirs.full_name
    assert mine.input_type.full_name == theirs.input_type.full_name
    assert mine.output_type.full_name == theirs.output_type.full_name
    streams = (method in STREAMING_METHODS,) * 2
    assert (mine.client_streaming, mine.server_streaming) == streams
    assert (theirs.client_streaming, theirs.server_streaming) == streams


@pytest.fixture(scope="module")
def our_otlp(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(compile_proto(OTLP_PROTO, tmp_path_factory.mktemp("proto")))
    return pool.FindFileByName(OTLP_PROTO.name)


def fields_of(message: Any) -> dict[str, tuple[int, int, bool, str]]:
    """By name: number, type, whether it is repeated, and the last name of its message type."""
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            field.message_type.name if field.message_type is not None else "",
        )
        for field in message.fields
    }


def test_every_message_of_a_trace_is_the_published_one_or_a_part_of_it(our_otlp: Any) -> None:
    """Published, the messages are in several packages, which do not travel."""
    request = trace_service_pb2.ExportTraceServiceRequest.DESCRIPTOR
    response = trace_service_pb2.ExportTraceServiceResponse.DESCRIPTOR
    published: dict[str, Any] = {}
    unseen = [request, response]
    while unseen:
        message = unseen.pop()
        if message.name not in published:
            published[message.name] = message
            unseen += [f.message_type for f in message.fields if f.message_type is not None]
    for name, message in our_otlp.message_types_by_name.items():
        theirs = fields_of(published[name])
        assert fields_of(message).items() <= theirs.items(), name
        for enum in message.enum_types:
            numbers = {value.name: value.number for value in enum.values}
            published_enum = published[name].enum_types_by_name[enum.name]
            assert numbers == {value.name: value.number for value in published_enum.values}


def test_spans_are_sent_to_the_published_rpc(our_otlp: Any) -> None:
    (service,) = our_otlp.services_by_name.values()
    theirs = trace_service_pb2.DESCRIPTOR.services_by_name["TraceService"]
    assert service.full_name == theirs.full_name
    assert [method.name for method in service.methods] == [m.name for m in theirs.methods]
