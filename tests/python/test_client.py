"""The client against a server that uses another implementation of the protocol."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import ml_dtypes
import numpy as np
import pytest
import torch

from torchdeploy_pkg import Client, InvalidArgumentError, ModelError, TensorSpec
from torchdeploy_pkg.errors import (
    DataLossError,
    DeadlineExceededError,
    NotFoundError,
    UnavailableError,
)
from torchdeploy_pkg.oip_messages import FIELDS, message_class
from torchdeploy_pkg.tensor_codec import decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SERVER = Path(__file__).with_name("oip_server.py")
PACKAGE_ROOT = Path(__file__).parents[2] / "python"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with subprocess.Popen(
        [sys.executable, str(SERVER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url) as client:
        yield client


DTYPES = "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 float32 float64"


@pytest.mark.parametrize("dtype", DTYPES.split())
@pytest.mark.parametrize("shape", [(), (0,), (2, 3), (1, 0, 2)])
def test_array_comes_back_as_it_went(client: Client, dtype: str, shape: tuple[int, ...]) -> None:
    array = np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)
    echoed = client.infer("echo", {"x": array})["x"]
    assert echoed.dtype == array.dtype
    assert echoed.shape == shape
    assert np.array_equal(echoed, array)
    assert echoed.flags.writeable


def test_strided_and_big_endian_arrays_travel_as_their_values(client: Client) -> None:
    array = np.arange(12, dtype=">i4").reshape(3, 4).T[::-1]
    assert np.array_equal(client.infer("echo", {"x": array})["x"], array)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.int8, torch.bool])
def test_torch_tensor_needs_no_conversion(client: Client, dtype: torch.dtype) -> None:
    tensor = torch.tensor([[0.0, 1.5, -3.25]]).to(dtype).t()
    echoed = client.infer("echo", {"x": tensor})["x"]
    assert np.array_equal(echoed, tensor.to(torch.float32).numpy().astype(echoed.dtype))


def test_bfloat16_keeps_every_bit() -> None:
    bits = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16)
    datatype, shape, raw = encode("x", bits.view(torch.bfloat16))
    assert (datatype, shape) == ("BF16", [2**16])
    assert raw == bits.numpy().tobytes()
    assert encode("x", np.array([1.5], ml_dtypes.bfloat16)) == ("BF16", [1], b"\xc0\x3f")
    assert decode("x", "BF16", (1,), b"\xc0\x3f") == np.float32(1.5)


@pytest.mark.parametrize(
    ("value", "shape", "items"),
    [
        ("größe", (1,), ["größe".encode()]),
        (b"\x00", (1,), [b"\x00"]),
        (["a", b"", "b\x00"], (3,), [b"a", b"", b"b\x00"]),
        ([["a", "b"], ["c", "d"]], (2, 2), [b"a", b"b", b"c", b"d"]),
        ([], (0,), []),
        (np.array(["a", "bc"]), (2,), [b"a", b"bc"]),
        (np.array([b"a", "b"], dtype=object), (2,), [b"a", b"b"]),
    ],
)
def test_text_comes_back_as_bytes(
    client: Client, value: Any, shape: tuple[int, ...], items: list[bytes]
) -> None:
    echoed = client.infer("echo", {"x": value})["x"]
    assert echoed.dtype == object
    assert echoed.shape == shape
    assert echoed.reshape(-1).tolist() == items


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1.5, 2.0], "'x' holds a float"),
        ([["a"], ["b", "c"]], "'x': its lists differ in length"),
        (3, "'x' is a int; expected"),
        (np.array([1j]), "'x' is of complex128"),
        (torch.tensor([1j]), "'x' is of complex64"),
    ],
)
def test_what_cannot_travel_is_refused_by_name(client: Client, value: Any, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        client.infer("echo", {"x": value})


@pytest.mark.parametrize(
    ("datatype", "shape", "raw"),
    [
        ("FP32", (2,), b"1234"),
        ("BYTES", (1,), b"\x05\x00\x00\x00ab"),
        ("BYTES", (2,), b"\x00\x00\x00\x00"),
        ("BYTES", (1,), b"\x01"),
        ("FP8", (1,), b"1"),
    ],
)
def test_torn_answer_is_data_loss(datatype: str, shape: tuple[int, ...], raw: bytes) -> None:
    with pytest.raises(DataLossError, match=r"output 'y': \d+ bytes are no"):
        decode("y", datatype, shape, raw)


def test_only_the_outputs_asked_for_come_back(client: Client) -> None:
    answer = client.infer("echo", {"x": np.zeros(1), "y": np.ones(1)}, outputs=["y"])
    assert list(answer) == ["y"]


def test_metadata_and_readiness(client: Client) -> None:
    metadata = client.metadata("echo")
    assert metadata.versions == ("1", "2")
    assert metadata.inputs == (TensorSpec("x", "FP32", (-1, 3)),)
    assert client.is_ready()
    assert client.is_ready("echo")
    assert not client.is_ready("other")
    assert not client.is_ready("absent")
    client.wait_until_ready("echo", timeout_s=5)
    with pytest.raises(DeadlineExceededError, match=r"other was not ready within 0\.2 s"):
        client.wait_until_ready("other", timeout_s=0.2)


def test_model_exception_keeps_type_and_traceback(client: Client) -> None:
    with pytest.raises(ModelError, match=r"my\.TooLong: 17 > 16") as caught:
        client.infer("raises", {"x": np.zeros(1)})
    assert caught.value.traceback == "Traceback: größer"
    assert caught.value.__cause__ is not None


def test_server_status_becomes_its_exception(client: Client) -> None:
    with pytest.raises(NotFoundError, match="no model 'nope'"):
        client.infer("nope", {"x": np.zeros(1)})


def test_absent_server_is_unavailable() -> None:
    with Client("127.0.0.1:1") as client:
        assert not client.is_ready(timeout_s=5)
        with pytest.raises(UnavailableError):
            client.infer("echo", {"x": np.zeros(1)}, timeout_s=5)


def test_client_and_tritonclient_live_in_one_process(
    url: str, run_python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    program = textwrap.dedent(f"""
        import sys
        sys.path.insert(0, {str(PACKAGE_ROOT)!r})
        import numpy as np
        from torchdeploy_pkg import Client
        ours = Client({url!r}).infer("echo", {{"x": np.ones(2)}})
        import tritonclient.grpc as triton
        x = triton.InferInput("x", [2], "FP64")
        x.set_data_from_numpy(np.ones(2))
        theirs = triton.InferenceServerClient({url!r}).infer("echo", [x]).as_numpy("x")
        assert np.array_equal(ours["x"], theirs)
        assert "torch" not in sys.modules
    """)
    done = run_python("-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", FIELDS)
def test_fields_are_those_of_the_protocol(name: str) -> None:
    service_pb2 = pytest.importorskip("tritonclient.grpc.service_pb2")
    theirs = service_pb2
    for part in name.split("."):
        theirs = getattr(theirs, part)
    for field in message_class(name).DESCRIPTOR.fields:
        other = theirs.DESCRIPTOR.fields_by_name[field.name]
        assert (field.number, field.type) == (other.number, other.type)
        assert field.is_repeated == other.is_repeated
