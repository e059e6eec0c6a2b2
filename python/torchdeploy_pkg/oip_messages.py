"""The messages of the Open Inference Protocol that the client uses, as protobuf classes.

They live in a descriptor pool of their own. Generated modules would enter protobuf's
process-wide pool, where those of another client of the protocol, such as tritonclient,
define the same names, and importing both would fail.

Source: the Open Inference Protocol, package ``inference``. Unknown fields are kept and
ignored, so a server may send more than stands here.
"""

from __future__ import annotations

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "inference.GRPCInferenceService"

# Message: {field: (number, type)}. "*" marks a repeated field; a capital, a message.
FIELDS: dict[str, dict[str, tuple[int, str]]] = {
    "ServerLiveRequest": {},
    "ServerLiveResponse": {"live": (1, "bool")},
    "ServerReadyRequest": {},
    "ServerReadyResponse": {"ready": (1, "bool")},
    "ModelReadyRequest": {"name": (1, "string"), "version": (2, "string")},
    "ModelReadyResponse": {"ready": (1, "bool")},
    "ServerMetadataRequest": {},
    "ServerMetadataResponse": {
        "name": (1, "string"),
        "version": (2, "string"),
        "extensions": (3, "string*"),
    },
    "ModelMetadataRequest": {"name": (1, "string"), "version": (2, "string")},
    "ModelMetadataResponse": {
        "name": (1, "string"),
        "versions": (2, "string*"),
        "platform": (3, "string"),
        "inputs": (4, "ModelMetadataResponse.TensorMetadata*"),
        "outputs": (5, "ModelMetadataResponse.TensorMetadata*"),
    },
    "ModelMetadataResponse.TensorMetadata": {
        "name": (1, "string"),
        "datatype": (2, "string"),
        "shape": (3, "int64*"),
    },
    "InferParameter": {"bool_param": (1, "bool"), "string_param": (3, "string")},
    "ModelInferRequest": {
        "model_name": (1, "string"),
        "model_version": (2, "string"),
        "id": (3, "string"),
        "parameters": (4, "ModelInferRequest.ParametersEntry*"),
        "inputs": (5, "ModelInferRequest.InferInputTensor*"),
        "outputs": (6, "ModelInferRequest.InferRequestedOutputTensor*"),
        "raw_input_contents": (7, "bytes*"),
    },
    # A map, as it is on the wire.
    "ModelInferRequest.ParametersEntry": {"key": (1, "string"), "value": (2, "InferParameter")},
    "ModelInferRequest.InferInputTensor": {
        "name": (1, "string"),
        "datatype": (2, "string"),
        "shape": (3, "int64*"),
    },
    "ModelInferRequest.InferRequestedOutputTensor": {"name": (1, "string")},
    "ModelInferResponse": {
        "model_name": (1, "string"),
        "model_version": (2, "string"),
        "id": (3, "string"),
        "parameters": (4, "ModelInferResponse.ParametersEntry*"),
        "outputs": (5, "ModelInferResponse.InferOutputTensor*"),
        "raw_output_contents": (6, "bytes*"),
    },
    "ModelInferResponse.ParametersEntry": {"key": (1, "string"), "value": (2, "InferParameter")},
    "ModelInferResponse.InferOutputTensor": {
        "name": (1, "string"),
        "datatype": (2, "string"),
        "shape": (3, "int64*"),
    },
    "ModelStreamInferResponse": {
        "error_message": (1, "string"),
        "infer_response": (2, "ModelInferResponse"),
    },
}

_FILE = "torchdeploy_client.proto"
_Field = descriptor_pb2.FieldDescriptorProto


def _file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name=_FILE, package="inference", syntax="proto3")
    by_name: dict[str, descriptor_pb2.DescriptorProto] = {}
    for full_name, fields in FIELDS.items():
        outer, _, name = full_name.rpartition(".")
        message = by_name[outer].nested_type.add() if outer else file.message_type.add()
        message.name = name
        by_name[full_name] = message
        for field_name, (number, kind) in fields.items():
            _add_field(message, field_name, number, kind)
    return file


def _add_field(message: descriptor_pb2.DescriptorProto, name: str, number: int, kind: str) -> None:
    repeated = kind.endswith("*")
    kind = kind.rstrip("*")
    field = message.field.add(name=name, number=number)
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if kind[0].isupper():
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".inference.{kind}"
    else:
        field.type = _Field.Type.Value(f"TYPE_{kind.upper()}")


_POOL = descriptor_pool.DescriptorPool()
_POOL.Add(_file())


def message_class(name: str) -> Any:
    """The class of a message of package ``inference``, such as ``"ModelInferRequest"``."""
    return message_factory.GetMessageClass(_POOL.FindMessageTypeByName(f"inference.{name}"))
