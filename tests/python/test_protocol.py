"""The served protocol against the published one, descriptor by descriptor."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from tritonclient.grpc import model_config_pb2, service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

PROTO = Path(__file__).resolve().parents[2] / "server/proto/open_inference_grpc.proto"
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


def compile_proto(folder: Path) -> descriptor_pb2.FileDescriptorProto:
    protoc = shutil.which("protoc")
    assert protoc is not None, "protoc is not on PATH: install protobuf-compiler"
    out = folder / "descriptors.pb"
    command = [protoc, f"--proto_path={PROTO.parent}", f"--descriptor_set_out={out}", PROTO.name]
    subprocess.run(command, check=True)
    files = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    assert len(files.file) == 1
    return files.file[0]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The descriptor of our file, in a pool of its own."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(compile_proto(tmp_path_factory.mktemp("proto")))
    return pool.FindFileByName(PROTO.name)


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
