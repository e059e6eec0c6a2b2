"""Interpreters inside an ordinary Python process, through the compiled binding."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import sys
import threading
import time
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pytest
import torch
from echo_model import Echo, Mlp
from torch import nn

from torchdeploy_pkg import InterpreterManager, InvalidArgumentError, ModelError, package
from torchdeploy_pkg.errors import FailedPreconditionError, NotFoundError, UnavailableError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from torchdeploy_pkg.runtime import ReplicatedObj

    RunPython = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.integration


class Pair(NamedTuple):
    left: int
    right: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in_process")
    torch.manual_seed(0)
    package(Mlp().eval(), folder / "mlp.pt", example_inputs=torch.ones(2, 8))
    package(Echo().eval(), folder / "echo.pt", example_inputs=torch.ones(2))
    return folder


@pytest.fixture(scope="module")
def manager() -> Iterator[InterpreterManager]:
    with InterpreterManager(2, intra_op_threads=1) as manager:
        yield manager


@pytest.fixture(scope="module")
def echo(manager: InterpreterManager, folder: Path) -> ReplicatedObj:
    return manager.load_package(folder / "echo.pt").load_pickle("model", "model.pkl")


@pytest.fixture(scope="module")
def mlp(manager: InterpreterManager, folder: Path) -> ReplicatedObj:
    return manager.load_package(folder / "mlp.pt").load_pickle()


@pytest.fixture(scope="module")
def one_interpreter(folder: Path) -> Iterator[ReplicatedObj]:
    with InterpreterManager(1, intra_op_threads=1) as manager:
        yield manager.load_package(folder / "echo.pt").load_pickle()


@pytest.fixture(scope="module")
def plain_mlp() -> Mlp:
    torch.manual_seed(0)
    return Mlp().eval()


def test_numbers_are_the_plain_models_bit_for_bit(mlp: ReplicatedObj, plain_mlp: Mlp) -> None:
    torch.set_num_threads(1)
    for rows in (0, 1, 3, 64):
        x = torch.randn(rows, 8)
        expected = plain_mlp(x, scale=0.5).detach()
        answer = mlp(x, scale=0.5)
        assert type(answer) is torch.Tensor
        assert torch.equal(answer, expected)


def test_package_has_its_manifest_and_entry(manager: InterpreterManager, folder: Path) -> None:
    opened = manager.load_package(str(folder / "mlp.pt"))
    assert opened.manifest is not None
    assert [spec.name for spec in opened.manifest.inputs] == ["x"]
    answer = opened.load_entry()(x=torch.ones(1, 8))
    assert torch.equal(answer["output"], opened.load_pickle()(torch.ones(1, 8)))
    assert len(manager) == 2


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, False, 0, -(2**63), 2**63 - 1, 1.5, float("inf"), 1 - 2j),
        *("", "é\U0001f600", "a\0b", b"", b"\xff\x00"),
        *(torch.device("cpu"), torch.device("cuda:1"), torch.bfloat16, torch.strided),
        *([], (), {}, [1, [2, (3, {"a": {4: None}})]], {"b": 1, "a": 2, 3: "c"}),
    ],
    ids=repr,
)
def test_value_comes_back_as_it_went(echo: ReplicatedObj, value: object) -> None:
    answer = echo(value)
    assert answer == value
    assert type(answer) is type(value)
    assert list(echo(v=value)) == ["v"]


def test_subclasses_of_containers_arrive_as_their_base(echo: ReplicatedObj) -> None:
    ordered = OrderedDict(a=1, b=2)
    ordered.move_to_end("a")
    assert echo(Pair(1, "x")) == (1, "x")
    assert list(echo(ordered)) == ["b", "a"]
    assert echo(np.float32(0.5)) == 0.5
    assert echo(np.array(["a", "b"])) == ["a", "b"]
    assert echo(1, "x", do="names") == ["builtins.int", "builtins.str"]


@pytest.mark.parametrize(
    "tensor",
    [
        *(torch.arange(6).to(dtype) for dtype in (torch.bool, torch.int8, torch.uint16)),
        *(torch.randn(3, 4).to(dtype) for dtype in (torch.bfloat16, torch.half, torch.cdouble)),
        torch.randn(4).to(torch.float8_e4m3fn),
        *(torch.tensor(3.0), torch.empty(0, 3), torch.randn(3, 4).t(), torch.randn(9)[1::3]),
        *(torch.ones(1).expand(3, 2), torch.randn(3, dtype=torch.cfloat).conj()),
        torch.randn(3, dtype=torch.cfloat).conj().imag,
        *(torch.ones(2, requires_grad=True), nn.Parameter(torch.ones(2))),
    ],
    ids=lambda tensor: f"{tensor.dtype}{list(tensor.shape)}",
)
def test_tensor_comes_back_as_it_went(echo: ReplicatedObj, tensor: torch.Tensor) -> None:
    for answer in (echo(tensor), echo.call_async(tensor).result()):
        assert answer.dtype == tensor.dtype
        assert answer.shape == tensor.shape
        assert not answer.requires_grad
        assert answer.tolist() == tensor.tolist()


def test_numpy_arrays_go_in_and_torch_tensors_come_out(echo: ReplicatedObj) -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    frozen = array.copy()
    frozen.flags.writeable = False
    for odd in (array, array[::-1], array.T, array.astype(">f4"), frozen):
        answer = echo(odd)
        assert isinstance(answer, torch.Tensor)
        assert np.array_equal(answer.numpy(), odd)


def test_input_is_not_copied_on_its_way(one_interpreter: ReplicatedObj) -> None:
    tensor = torch.zeros(2)
    one_interpreter(tensor, do="keep")
    array = np.zeros(2, dtype=np.float32)
    one_interpreter(array, do="keep")
    del array
    assert torch.equal(one_interpreter(torch.ones(2), do="add"), torch.ones(2))


def test_input_is_let_go_after_the_call(echo: ReplicatedObj) -> None:
    array = np.zeros(2, dtype=np.float32)
    before = sys.getrefcount(array)
    for _ in range(3):
        echo(torch.from_numpy(array))
    deadline = time.monotonic() + 30
    while sys.getrefcount(array) > before:
        assert time.monotonic() < deadline, "an interpreter still holds its input"
        time.sleep(0.001)


def test_result_that_aliases_a_buffer_belongs_to_the_caller(
    one_interpreter: ReplicatedObj,
) -> None:
    first = one_interpreter(torch.ones(2), do="add")
    future = one_interpreter.call_async(torch.ones(2), do="add")
    second = future.result()
    third = one_interpreter(torch.ones(2), do="add")
    assert torch.equal(second - first, torch.ones(2))
    assert torch.equal(third - second, torch.ones(2))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), r"args\[0\]: builtins.object cannot cross"),
        ([1, {"k": (set(),)}], r"args\[0\]\[1\]\['k'\]\[0\]: builtins.set cannot cross"),
        ({1.5: 2}, r"args\[0\]: a dict key of type builtins.float"),
        (2**63, "64-bit range"),
        ("\ud800", "lone surrogate"),
        (torch.eye(2).to_sparse(), "torch.sparse_coo"),
        (torch.empty(2, device="meta"), "meta device"),
        (torch._efficientzerotensor((2,)), "without memory"),
        # torch's stubs do not know it.
        (torch.empty(2, dtype=torch.uint4), "torch.uint4"),  # type: ignore[attr-defined]
        (np.ma.masked_array([1.0], [True]), "mask"),
        (np.array(["2020"], dtype="M8[Y]"), "numpy.ndarray cannot cross"),
    ],
    ids=lambda case: case[:20] if isinstance(case, str) else type(case).__name__,
)
def test_value_that_cannot_cross_is_named(echo: ReplicatedObj, value: object, message: str) -> None:
    with pytest.raises(InvalidArgumentError, match=message):
        echo(value)
    with pytest.raises(InvalidArgumentError, match=message):
        echo.call_async(value)


def test_list_that_contains_itself_is_refused(echo: ReplicatedObj) -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(InvalidArgumentError, match="contains itself"):
        echo(endless)


def test_exception_of_the_model_has_its_type_and_traceback(echo: ReplicatedObj) -> None:
    with pytest.raises(ModelError) as caught:
        echo("name", do="fail")
    assert caught.value.type_name == "KeyError"
    assert "in forward" in caught.value.traceback
    failed = echo.call_async(do="exit").exception()
    assert isinstance(failed, ModelError)
    assert failed.type_name == "SystemExit"


def test_missing_files_and_pickles_are_named(manager: InterpreterManager, folder: Path) -> None:
    with pytest.raises(NotFoundError, match=r"absent\.pt"):
        manager.load_package(folder / "absent.pt")
    with pytest.raises(NotFoundError, match=r"absent\.pkl"):
        manager.load_package(folder / "mlp.pt").load_pickle("model", "absent.pkl")(1)
    with pytest.raises(InvalidArgumentError, match="interpreters is 0"):
        InterpreterManager(0)


def test_two_interpreters_work_for_eight_threads(echo: ReplicatedObj, mlp: ReplicatedObj) -> None:
    for _ in range(2):
        concurrent.futures.wait([echo.call_async(0.1, do="sleep") for _ in range(2)])
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda _: echo(0.2, do="sleep"), range(8)))
    assert 0.8 <= time.monotonic() - start < 1.4  # One after the other: 1.6.
    inputs = [torch.randn(4, 8) for _ in range(200)]
    expected = [mlp(x) for x in inputs]
    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(mlp, inputs))
    assert all(map(torch.equal, answers, expected))


def test_fifty_calls_are_awaited_at_once(mlp: ReplicatedObj) -> None:
    inputs = [torch.randn(2, 8) for _ in range(50)]

    async def gather() -> list[Any]:
        return await asyncio.gather(*(mlp.acall(x) for x in inputs))

    answers = asyncio.run(gather())
    assert all(torch.equal(answer, mlp(x)) for answer, x in zip(answers, inputs, strict=True))


def test_cancelled_task_leaves_the_model_usable(echo: ReplicatedObj) -> None:
    async def give_up() -> None:
        await asyncio.wait_for(echo.acall(0.3, do="sleep"), 0.05)

    with pytest.raises(asyncio.TimeoutError):
        asyncio.run(give_up())
    assert echo(1) == 1


class Owner(np.ndarray[Any, Any]):
    """An array that can be watched."""


@pytest.mark.parametrize("asynchronous", [False, True])
def test_input_is_released_once_the_interpreter_drops_it(
    one_interpreter: ReplicatedObj, *, asynchronous: bool
) -> None:
    def call(*args: object, do: str = "echo") -> object:
        if asynchronous:
            return one_interpreter.call_async(*args, do=do).result()
        return one_interpreter(*args, do=do)

    arrays = [np.zeros(4, dtype=np.float32).view(Owner) for _ in range(2)]
    watched = [weakref.ref(array) for array in arrays]
    call([arrays[0], torch.from_numpy(arrays[1])], do="keep")
    del arrays
    gc.collect()
    assert all(watch() is not None for watch in watched)  # The model keeps them.
    call(None, do="keep")
    wait_until(lambda: all(watch() is None for watch in watched))


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait without a call of the binding: the main thread is asked to release by itself."""
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_closing_waits_for_running_calls_and_refuses_new_ones(folder: Path) -> None:
    manager = InterpreterManager(2, intra_op_threads=1)
    echo = manager.load_package(folder / "echo.pt").load_pickle()
    futures = [echo.call_async(0.3, do="sleep") for _ in range(4)]
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(echo(0.3, do="sleep")))
    thread.start()
    while not thread.is_alive():
        time.sleep(0.01)
    time.sleep(0.05)
    manager.close()
    assert [future.result(0) for future in futures] == [0.3] * 4
    thread.join()
    assert answers == [0.3]
    with pytest.raises(UnavailableError):
        echo(1)
    with pytest.raises(UnavailableError):
        echo.call_async(1).result(0)
    manager.close()


def test_callback_of_a_future_can_neither_close_nor_wait(folder: Path) -> None:
    manager = InterpreterManager(1, intra_op_threads=1)
    echo = manager.load_package(folder / "echo.pt").load_pickle()
    caught: concurrent.futures.Future[list[BaseException]] = concurrent.futures.Future()

    def misuse(_: object) -> None:
        errors: list[BaseException] = []
        for use in (manager.close, lambda: echo(1)):
            try:
                use()
            except FailedPreconditionError as exc:
                errors.append(exc)
        caught.set_result(errors)

    echo.call_async(0.1, do="sleep").add_done_callback(misuse)
    assert len(caught.result(10)) == 2
    manager.close()


def test_model_keeps_its_manager_alive(folder: Path) -> None:
    model = InterpreterManager(1, intra_op_threads=1).load_package(folder / "mlp.pt").load_pickle()
    gc.collect()
    assert model(torch.ones(1, 8)).shape == (1, 4)


def test_without_torch_results_are_numpy_arrays(run_python: RunPython, folder: Path) -> None:
    program = """
import sys
import numpy as np
from torchdeploy_pkg import InterpreterManager
from torchdeploy_pkg.errors import FailedPreconditionError
from torchdeploy_pkg.host_values import Dtype

with InterpreterManager(1, intra_op_threads=1) as manager:
    x = np.load("x.npy")
    np.save("y.npy", manager.load_package("mlp.pt").load_pickle()(x))
    echo = manager.load_package("echo.pt").load_pickle()
    answer = echo({"a": [x, 1], "d": Dtype("bfloat16")})
    assert type(answer["a"][0]) is np.ndarray and np.array_equal(answer["a"][0], x)
    assert answer["d"] == Dtype("bfloat16"), answer
    try:
        echo(x, do="as_bfloat16")
    except FailedPreconditionError as error:
        assert "import torch" in str(error)
    else:
        raise AssertionError
assert "torch" not in sys.modules
"""
    x = torch.randn(3, 8)
    np.save(folder / "x.npy", x.numpy())
    done = run_python("-c", program, cwd=folder)
    assert done.returncode == 0, done.stderr
    torch.manual_seed(0)
    torch.set_num_threads(1)
    assert np.array_equal(np.load(folder / "y.npy"), Mlp().eval()(x).detach().numpy())


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "echo(torch.ones(1000), do='keep')",
        "futures = [echo.call_async(0.2, do='sleep') for _ in range(4)]",
        "y = echo.call_async(torch.ones(3))",
        "threading.Thread(target=forever, daemon=True).start(); time.sleep(0.2)",
        "sys.exit(0)",
        "model = echo; del manager",
    ],
)
def test_process_with_an_open_manager_ends(
    run_python: RunPython, folder: Path, ending: str
) -> None:
    program = f"""
import sys, threading, time, torch
from torchdeploy_pkg import InterpreterManager

def forever():  # Without tensors: torch's own code aborts when it meets the end of Python.
    while True:
        echo(1)

manager = InterpreterManager(2, intra_op_threads=1)
echo = manager.load_package("echo.pt").load_pickle()
echo(1)
print("last word", time.time(), flush=True)
{ending}
"""
    done = run_python("-c", program, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert time.time() - float(done.stdout.split()[-1]) < 20
