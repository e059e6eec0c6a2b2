"""Calls that end early, and what else the host does to interpreters, from Python."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import torch
from own_models import Affine

from torchdeploy_pkg import InterpreterManager, InvalidArgumentError, ModelError, package
from torchdeploy_pkg.errors import DeadlineExceededError, FailedPreconditionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torchdeploy_pkg.runtime import ReplicatedObj

pytestmark = pytest.mark.integration

SOURCE = """
import sys, time

def slot():
    import torch
    return torch.version.interp

def spin():
    while True:
        pass

def stubborn():
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        try:
            spin()
        except BaseException:
            pass
    return "never seen"

def hang():
    time.sleep(10**6)

def path():
    return list(sys.path)
"""


@pytest.fixture(scope="module")
def manager() -> Iterator[InterpreterManager]:
    with InterpreterManager(2, intra_op_threads=1) as manager:
        manager.register_module_source("controlled", SOURCE)
        yield manager


def function(manager: InterpreterManager, name: str) -> ReplicatedObj:
    with manager.acquire_one() as session:
        return manager.create_movable(session.global_("controlled", name))


def test_loop_without_end_ends_at_its_deadline(manager: InterpreterManager) -> None:
    spin = function(manager, "spin").with_timeout(0.2)
    for _ in range(4):
        with pytest.raises(DeadlineExceededError, match="over its deadline"):
            spin()
    slot = function(manager, "slot")
    for index in range(2):
        with manager[index].acquire_session() as session:
            assert session.from_movable(slot)().deref() == index
    assert manager.interpreters_replaced == 0


def test_loop_that_catches_everything_is_interrupted_again(manager: InterpreterManager) -> None:
    with pytest.raises(DeadlineExceededError):
        function(manager, "stubborn").with_timeout(0.1)()
    with manager[0].acquire_session(), manager[1].acquire_session():
        pass  # Both are free again.
    assert manager.interpreters_replaced == 0


def test_cancelled_future_ends_its_call(manager: InterpreterManager) -> None:
    spin = function(manager, "spin")
    futures = [spin.call_async() for _ in range(3)]  # One of them waits.
    for future in reversed(futures):
        assert future.cancel()
        assert future.cancelled()
    assert isinstance(function(manager, "slot")(), int)


def test_cancelled_task_ends_its_call(manager: InterpreterManager) -> None:
    spin = function(manager, "spin")

    async def give_up() -> None:
        await asyncio.wait_for(spin.acall(), 0.1)

    for _ in range(3):
        with pytest.raises(asyncio.TimeoutError):
            asyncio.run(give_up())
    assert isinstance(function(manager, "slot")(), int)


def test_timeout_must_be_a_positive_number(manager: InterpreterManager) -> None:
    slot = function(manager, "slot")
    for wrong in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InvalidArgumentError, match="expected a positive number"):
            slot.with_timeout(wrong)
    assert slot.with_timeout(60)() in (0, 1)


def test_interpreter_that_hangs_in_native_code_is_replaced_while_the_other_works() -> None:
    with InterpreterManager(2, intra_op_threads=1) as manager:
        manager.register_module_source("controlled", SOURCE)
        hang, slot = function(manager, "hang"), function(manager, "slot")
        with pytest.raises(DeadlineExceededError):
            hang.with_timeout(0.1)()
        others = set()
        while manager.interpreters_replaced == 0:
            others.add(slot())
            time.sleep(0.01)
        assert len(others) == 1
        for index in range(2):
            with manager[index].acquire_session() as session:
                assert session.from_movable(slot)().deref() == index


def test_moved_object_shares_its_tensors(manager: InterpreterManager) -> None:
    with manager[0].acquire_session() as session:
        linear = session.global_("torch.nn", "Linear")(2, 2, bias=False)
        movable = manager.create_movable(linear)
    with manager[1].acquire_session() as session:
        moved = session.from_movable(movable)
        session.global_("torch.nn.init", "constant_")(moved.weight, 3.0)
        assert session.from_movable(movable).weight.data_ptr().deref() == (
            moved.weight.data_ptr().deref()
        )
    assert torch.equal(movable(torch.ones(1, 2)), torch.full((1, 2), 6.0))
    with manager[0].acquire_session() as session:
        weight = session.from_movable(movable).weight.detach().deref()
        assert torch.equal(weight, torch.full((2, 2), 3.0))


def test_object_of_an_archive_moves_with_its_classes(
    manager: InterpreterManager, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = Affine().eval()
    package(model, tmp_path / "affine.pt", example_inputs=torch.ones(2, 4))
    loaded = manager.load_package(tmp_path / "affine.pt").load_pickle()
    with loaded.acquire_session() as session:
        movable = manager.create_movable(session.self)
    x = torch.ones(2, 4)
    for index in range(2):
        with manager[index].acquire_session() as session:
            moved = session.from_movable(movable)
            answer = moved(x).deref()
            expected = model(x)
            assert answer.keys() == expected.keys()
            assert all(torch.equal(answer[name], expected[name]) for name in expected)


def test_object_that_cannot_be_moved_is_refused(manager: InterpreterManager) -> None:
    with manager.acquire_one() as session:
        lock = session.global_("threading", "Lock")()
        with pytest.raises(ModelError, match=r"cannot pickle '_thread\.lock'"):
            manager.create_movable(lock)
        with (
            InterpreterManager(1) as other,
            pytest.raises(FailedPreconditionError, match="another"),
        ):
            other.create_movable(lock)


def test_module_that_does_not_compile_is_refused(manager: InterpreterManager) -> None:
    with pytest.raises(ModelError, match="SyntaxError"):
        manager.register_module_source("broken", "def f(:")
    with manager.acquire_one() as session, pytest.raises(ModelError, match="No module named"):
        session.global_("broken", "f")


def test_pool_grows_and_shrinks_while_it_works(manager: InterpreterManager) -> None:
    slot = function(manager, "slot")
    seen: set[int] = set()
    working = True

    def call() -> None:
        while working:
            seen.add(slot())

    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    manager.resize(3)
    while 2 not in seen:
        time.sleep(0.001)
    manager.resize(2)
    working = False
    for caller in callers:
        caller.join()
    assert seen == {0, 1, 2}
    assert len(manager) == 2
    with pytest.raises(IndexError):
        manager[2]
    with pytest.raises(InvalidArgumentError):
        manager.resize(0)


def test_unloaded_model_is_loaded_again(manager: InterpreterManager) -> None:
    with manager[0].acquire_session() as session:
        items = manager.create_movable(session.from_value([]))
        session.from_movable(items).append(1)
    items.unload(0)
    with manager[0].acquire_session() as session:
        assert session.from_movable(items).deref() == []


def test_next_manager_finds_a_clean_interpreter(tmp_path: Path) -> None:
    (tmp_path / "left_behind.py").write_text("value = 1\n")

    def use(manager: InterpreterManager) -> Any:
        with manager.acquire_one() as session:
            session.global_("sys", "path").append(str(tmp_path))
            assert session.global_("left_behind", "value").deref() == 1
            return session.global_("builtins", "id")(session.global_("sys", "path")).deref()

    with InterpreterManager(1, intra_op_threads=3) as manager:
        manager.register_module_source("controlled", SOURCE)
        assert str(tmp_path) not in function(manager, "path")()
        interpreter = use(manager)
    del manager
    gc.collect()
    with InterpreterManager(1, intra_op_threads=3) as manager, manager.acquire_one() as session:
        path = session.global_("sys", "path")
        assert session.global_("builtins", "id")(path).deref() == interpreter  # The very same one.
        assert str(tmp_path) not in path.deref()
        for module in ("left_behind", "controlled"):
            with pytest.raises(ModelError, match="No module named"):
                session.global_(module, "value")
