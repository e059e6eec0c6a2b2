"""A client of the Open Inference Protocol over gRPC, without torch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc

from torchdeploy_pkg.errors import (
    DataLossError,
    DeadlineExceededError,
    InvalidArgumentError,
    StatusError,
    error_from_code,
)
from torchdeploy_pkg.oip_messages import SERVICE, message_class
from torchdeploy_pkg.tensor_codec import decode, encode
from torchdeploy_pkg.types import TensorSpec

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping
    from types import TracebackType

    import numpy as np

_MAX_MESSAGE_BYTES = 2**31 - 1
_TYPE_KEY = "torchdeploy-error-type"
_TRACEBACK_KEY = "torchdeploy-traceback-bin"
_WANTS_EMPTY_END = "triton_enable_empty_final_response"
_IS_FINAL = "triton_final_response"
_ERROR_ENDS_STREAM = (("triton_grpc_error", "true"),)
_POLL_S = 0.05
_METHODS = ("ServerReady", "ModelReady", "ModelMetadata", "ModelInfer")


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """What a server says of a model."""

    name: str
    versions: tuple[str, ...]
    platform: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]


@dataclass(frozen=True, slots=True)
class Tls:
    """What connections with TLS are made with: files in PEM.

    Attributes:
        ca: Who may have signed the server's certificate; by default those that gRPC brings.
        certificate: The client's own, for a server that asks for one; with its `key`.
    """

    ca: str | os.PathLike[str] | None = None
    certificate: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None


class Client:
    """A connection to one server.

    Thread-safe; usable as a context manager. Every method raises a StatusError of the class
    that errors.py gives for the server's answer: NotFoundError for an unknown model,
    InvalidArgumentError for a wrong input, ModelError for the model's own exception,
    UnavailableError when there is no server, DeadlineExceededError when the time is over.

    Args:
        url: ``"HOST:PORT"``.
        tls: Certificates, when the server asks for TLS; by default plain text.
        token: What the server asks for, with TLS: a token of its `--tokens`.

    Raises:
        InvalidArgumentError: A token without TLS, which would be sent in the clear.
    """

    def __init__(self, url: str, *, tls: Tls | None = None, token: str | None = None) -> None:
        options = [
            ("grpc.max_send_message_length", _MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES),
        ]
        if tls is not None:
            credentials = _channel_credentials(tls, token)
            self._channel = grpc.secure_channel(url, credentials, options=options)
        elif token is None:
            self._channel = grpc.insecure_channel(url, options=options)
        else:
            msg = "a token is sent with TLS only; pass tls=Tls(...)"
            raise InvalidArgumentError(msg)
        self._methods = {method: self._method(method) for method in _METHODS}
        self._stream = self._channel.stream_stream(
            f"/{SERVICE}/ModelStreamInfer",
            request_serializer=message_class("ModelInferRequest").SerializeToString,
            response_deserializer=message_class("ModelStreamInferResponse").FromString,
        )

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; calls under way are cancelled."""
        self._channel.close()

    def infer(
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        version: str = "",
        outputs: Iterable[str] | None = None,
        method: str = "",
        timeout_s: float | None = None,
    ) -> dict[str, np.ndarray]:
        """Run a model.

        Args:
            model: Its name.
            inputs: By name: numpy arrays or torch tensors; text or bytes, alone or in lists,
                for BYTES.
            version: Its version; empty for the server's choice.
            outputs: Names of the outputs to send; by default all.
            method: Its method, one of those that the archive has; by default the model itself.
            timeout_s: Seconds to wait; by default without end.

        Returns:
            The outputs by name. BYTES is an object array of ``bytes``; BF16 is float32.
        """
        request = _request(model, inputs, version, outputs)
        if method:
            request.parameters.add(key="method").value.string_param = method
        return _outputs(self._call("ModelInfer", request, timeout_s))

    def stream(
        self,
        model: str,
        inputs: Mapping[str, Any],
        *,
        version: str = "",
        outputs: Iterable[str] | None = None,
        timeout_s: float | None = None,
    ) -> Iterator[dict[str, np.ndarray]]:
        """Run a model that yields, and iterate over its answers; any other gives one.

        Leaving the loop, or closing the iterator, ends the model's generator. Arguments are those
        of infer(); `timeout_s` is for the whole.
        """
        request = _request(model, inputs, version, outputs)
        request.parameters.add(key=_WANTS_EMPTY_END).value.bool_param = True
        call = self._stream(iter([request]), timeout=timeout_s, metadata=_ERROR_ENDS_STREAM)
        try:
            for response in call:
                answer = response.infer_response
                if answer.outputs or not _is_final(answer):
                    yield _outputs(answer)
        except grpc.RpcError as exc:
            raise _translate(exc) from exc
        finally:
            call.cancel()

    def metadata(
        self, model: str, *, version: str = "", timeout_s: float | None = None
    ) -> ModelMetadata:
        """Inputs and outputs of a model."""
        request = message_class("ModelMetadataRequest")(name=model, version=version)
        response = self._call("ModelMetadata", request, timeout_s)
        return ModelMetadata(
            name=response.name,
            versions=tuple(response.versions),
            platform=response.platform,
            inputs=tuple(_spec(tensor) for tensor in response.inputs),
            outputs=tuple(_spec(tensor) for tensor in response.outputs),
        )

    def is_ready(
        self, model: str = "", *, version: str = "", timeout_s: float | None = None
    ) -> bool:
        """Whether the server, or one model of it, takes requests; False without a server."""
        request = (
            message_class("ModelReadyRequest")(name=model, version=version)
            if model
            else message_class("ServerReadyRequest")()
        )
        try:
            ready = self._call("ModelReady" if model else "ServerReady", request, timeout_s).ready
        except StatusError as exc:
            if exc.code in _NOT_READY_CODES:
                return False
            raise
        return bool(ready)

    def wait_until_ready(self, model: str = "", *, timeout_s: float) -> None:
        """Wait until is_ready().

        Raises:
            DeadlineExceededError: It was not within `timeout_s` seconds.
        """
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            if self.is_ready(model, timeout_s=left_s):
                return
            time.sleep(_POLL_S)
        msg = f"{model or 'the server'} was not ready within {timeout_s:g} s"
        raise DeadlineExceededError(msg)

    def _method(self, name: str) -> Any:
        return self._channel.unary_unary(
            f"/{SERVICE}/{name}",
            request_serializer=message_class(f"{name}Request").SerializeToString,
            response_deserializer=message_class(f"{name}Response").FromString,
        )

    def _call(self, method: str, request: Any, timeout_s: float | None) -> Any:
        try:
            return self._methods[method](request, timeout=timeout_s)
        except grpc.RpcError as exc:
            raise _translate(exc) from exc


def _channel_credentials(tls: Tls, token: str | None) -> grpc.ChannelCredentials:
    ca, key, certificate = (
        None if path is None else Path(path).read_bytes()
        for path in (tls.ca, tls.key, tls.certificate)
    )
    credentials = grpc.ssl_channel_credentials(ca, key, certificate)
    if token is None:
        return credentials
    return grpc.composite_channel_credentials(
        credentials, grpc.access_token_call_credentials(token)
    )


_NOT_READY_CODES = (
    grpc.StatusCode.UNAVAILABLE.value[0],
    grpc.StatusCode.NOT_FOUND.value[0],
    grpc.StatusCode.DEADLINE_EXCEEDED.value[0],
)


def _translate(error: Any) -> StatusError:
    trailers = dict(error.trailing_metadata() or ())
    return error_from_code(
        error.code().value[0],
        error.details() or error.code().name,
        type_name=trailers.get(_TYPE_KEY, ""),
        traceback=trailers.get(_TRACEBACK_KEY, b"").decode("utf-8", "replace"),
    )


def _request(
    model: str, inputs: Mapping[str, Any], version: str, outputs: Iterable[str] | None
) -> Any:
    request = message_class("ModelInferRequest")(model_name=model, model_version=version)
    for name, value in inputs.items():
        datatype, shape, raw = encode(name, value)
        request.inputs.add(name=name, datatype=datatype, shape=shape)
        request.raw_input_contents.append(raw)
    for name in outputs or ():
        request.outputs.add(name=name)
    return request


def _is_final(response: Any) -> bool:
    return any(each.key == _IS_FINAL and each.value.bool_param for each in response.parameters)


def _outputs(response: Any) -> dict[str, np.ndarray]:
    if len(response.outputs) != len(response.raw_output_contents):
        msg = (
            f"the answer describes {len(response.outputs)} outputs, "
            f"but brings {len(response.raw_output_contents)}"
        )
        raise DataLossError(msg)
    return {
        tensor.name: decode(tensor.name, tensor.datatype, tuple(tensor.shape), raw)
        for tensor, raw in zip(response.outputs, response.raw_output_contents, strict=True)
    }


def _spec(tensor: Any) -> TensorSpec:
    return TensorSpec(tensor.name, tensor.datatype, tuple(tensor.shape))
