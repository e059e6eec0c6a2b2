"""Exceptions of this package, one class per status code.

::

    TorchDeployError
    ├── PackagingError           the packager cannot write this archive
    └── StatusError              an answer of the server or the runtime, with its ``code``
        ├── CancelledError               1
        ├── ModelError                   2, the model's own exception
        ├── InvalidArgumentError         3, also raised here for a caller's mistake (ValueError)
        ├── DeadlineExceededError        4 (TimeoutError)
        ├── NotFoundError                5
        ├── AlreadyExistsError           6
        ├── PermissionDeniedError        7
        ├── ResourceExhaustedError       8
        ├── FailedPreconditionError      9
        ├── AbortedError                10
        ├── OutOfRangeError             11
        ├── UnimplementedError          12
        ├── InternalError               13
        ├── UnavailableError            14
        ├── DataLossError               15
        └── UnauthenticatedError        16
    PackagingWarning             the archive is good, but the reader should know

A code that is not listed, and code 2 without an exception of the model, is a plain
``StatusError``.
"""

from __future__ import annotations

UNKNOWN_CODE = 2


class TorchDeployError(Exception):
    """Base of every exception that this package raises on purpose."""


class PackagingWarning(UserWarning):
    """Something of the model will not be served as the user may expect."""


class PackagingError(TorchDeployError):
    """The packager cannot write this archive; the message says what to do."""


class StatusError(TorchDeployError):
    """A failure with a status code.

    Attributes:
        code: The number of the status, equal to gRPC's.
    """

    default_code = UNKNOWN_CODE

    def __init__(self, message: str, *, code: int | None = None) -> None:
        super().__init__(message)
        self.code = self.default_code if code is None else code


class CancelledError(StatusError):
    """The call was cancelled."""

    default_code = 1


class ModelError(StatusError):
    """The model's own Python code raised.

    Attributes:
        type_name: Qualified name of the exception inside the interpreter.
        traceback: Formatted traceback from inside the interpreter; may be empty.
    """

    def __init__(self, message: str, *, type_name: str, traceback: str = "") -> None:
        super().__init__(message)
        self.type_name = type_name
        self.traceback = traceback

    def __str__(self) -> str:
        return f"{self.type_name}: {self.args[0]}"


class InvalidArgumentError(StatusError, ValueError):
    """The caller passed something that the callee cannot accept."""

    default_code = 3


class DeadlineExceededError(StatusError, TimeoutError):
    """The time that the caller gave was over."""

    default_code = 4


class NotFoundError(StatusError):
    """There is no such model, version or file."""

    default_code = 5


class AlreadyExistsError(StatusError):
    """What should be made is there already."""

    default_code = 6


class PermissionDeniedError(StatusError):
    """The operating system or the server refuses."""

    default_code = 7


class ResourceExhaustedError(StatusError):
    """Memory, disk or a queue is full."""

    default_code = 8


class FailedPreconditionError(StatusError):
    """The call is right, but not in this state or with these versions."""

    default_code = 9


class AbortedError(StatusError):
    """The call was given up half-way."""

    default_code = 10


class OutOfRangeError(StatusError):
    """A value lies past the end."""

    default_code = 11


class UnimplementedError(StatusError):
    """The server does not offer this."""

    default_code = 12


class InternalError(StatusError):
    """An invariant of the server is broken."""

    default_code = 13


class UnavailableError(StatusError):
    """The server cannot be reached, or is closing."""

    default_code = 14


class DataLossError(StatusError):
    """A file is torn, or not what it should be."""

    default_code = 15


class UnauthenticatedError(StatusError):
    """The server asks for a token, and there was none, or one that it does not know."""

    default_code = 16


_CLASS_OF_CODE: dict[int, type[StatusError]] = {
    cls.default_code: cls
    for cls in (
        CancelledError,
        InvalidArgumentError,
        DeadlineExceededError,
        NotFoundError,
        AlreadyExistsError,
        PermissionDeniedError,
        ResourceExhaustedError,
        FailedPreconditionError,
        AbortedError,
        OutOfRangeError,
        UnimplementedError,
        InternalError,
        UnavailableError,
        DataLossError,
        UnauthenticatedError,
    )
}


def error_from_code(
    code: int, message: str, *, type_name: str = "", traceback: str = ""
) -> StatusError:
    """The exception for a status.

    Args:
        code: Number of the status; not 0.
        message: One sentence for the reader.
        type_name: The Python exception inside the interpreter, or empty if there was none.
        traceback: Its formatted traceback, or empty.
    """
    if code == UNKNOWN_CODE and type_name:
        return ModelError(message, type_name=type_name, traceback=traceback)
    cls = _CLASS_OF_CODE.get(code, StatusError)
    return cls(message, code=code)
