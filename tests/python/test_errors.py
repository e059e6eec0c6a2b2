"""Status codes and the exceptions that stand for them."""

from __future__ import annotations

import grpc
import pytest

from torchdeploy_pkg import errors


@pytest.mark.parametrize("status", [s for s in grpc.StatusCode if s is not grpc.StatusCode.OK])
def test_code_and_class_agree(status: grpc.StatusCode) -> None:
    code, text = status.value
    error = errors.error_from_code(code, text)
    assert error.code == code
    assert str(error) == text
    name = f"{text.title().replace(' ', '')}Error"
    assert type(error) is getattr(errors, name, errors.StatusError)


def test_model_error_keeps_type_and_traceback() -> None:
    error = errors.error_from_code(2, "too long", type_name="m.TooLong", traceback="Traceback ...")
    assert isinstance(error, errors.ModelError)
    assert (error.type_name, error.traceback, error.code) == ("m.TooLong", "Traceback ...", 2)
    assert str(error) == "m.TooLong: too long"


def test_unlisted_code_is_kept() -> None:
    assert errors.error_from_code(16, "who?").code == 16
