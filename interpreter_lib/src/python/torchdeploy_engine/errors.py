"""Errors as they leave the interpreter."""

from __future__ import annotations

import traceback
from enum import IntEnum


class Code(IntEnum):
    """The codes of interp_abi.h that Python code here uses."""

    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    FAILED_PRECONDITION = 9
    DATA_LOSS = 15


class Refusal(Exception):  # noqa: N818  # It is the engine that refuses, not the model that fails.
    """The engine's own error: `code` says why, the message is one sentence."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


class Interruption(BaseException):
    """Raised in a call that the host ends; no Exception, so that few handlers catch it."""


def describe(exception: BaseException) -> tuple[int, bytes, bytes, bytes]:
    """Return code, qualified type ("" for a Refusal), message and traceback, as UTF-8."""
    name = "" if isinstance(exception, Refusal) else _type_name(type(exception))
    message, lines = _message(exception), _traceback(exception)
    return int(_code(exception)), _utf8(name), _utf8(message), _utf8(lines)


def _code(exception: BaseException) -> Code:
    if isinstance(exception, Refusal):
        return exception.code
    return Code.CANCELLED if isinstance(exception, Interruption) else Code.UNKNOWN


def _type_name(kind: type[BaseException]) -> str:
    module = str(kind.__module__)
    if module.startswith("<torch_package_"):  # A packaged module's name, as torch mangles it.
        module = module.partition(">.")[2]
    return kind.__qualname__ if module == "builtins" else f"{module}.{kind.__qualname__}"


def _message(exception: BaseException) -> str:
    try:
        return str(exception)
    except BaseException as error:  # noqa: BLE001  # The model's __str__ may raise anything.
        return f"str() of this exception raised {_type_name(type(error))}"


def _traceback(exception: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(exception))
    except BaseException:  # noqa: BLE001  # As above, for each exception of the chain.
        return ""


def _utf8(text: str) -> bytes:
    return text.replace("\0", "\\x00").encode("utf-8", "backslashreplace")
