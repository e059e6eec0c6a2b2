"""One interpreter for oneself, from Python."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import torch
from own_models import Affine

from torchdeploy_pkg import InterpreterManager, InvalidArgumentError, ModelError, package
from torchdeploy_pkg.errors import FailedPreconditionError, UnavailableError

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def manager() -> Iterator[InterpreterManager]:
    with InterpreterManager(2, intra_op_threads=1) as manager:
        yield manager


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sessions") / "affine.pt"
    torch.manual_seed(0)
    package(Affine().eval(), path, example_inputs=torch.ones(2, 4))
    return path


def test_session_calls_what_it_imports(manager: InterpreterManager) -> None:
    with manager.acquire_one() as session:
        join = session.global_("os.path", "join")
        assert join("a", "b").deref() == "a/b"
        assert session.global_("torch", "version").interp.deref() == session.slot
        total = session.global_("torch", "add")(torch.ones(3), other=torch.full((3,), 2.0))
        assert torch.equal(total.deref(), torch.full((3,), 3.0))


def test_objects_have_attributes_and_are_arguments(manager: InterpreterManager) -> None:
    with manager[1].acquire_session() as session:
        assert session.slot == 1
        counter = session.global_("collections", "Counter")("abca")
        assert counter.most_common(1).deref() == [("a", 2)]
        assert not hasattr(counter, "no_such_thing")
        assert session.global_("builtins", "len")(counter).deref() == 3
        pair = session.global_("operator", "add")(session.from_value([1]), [2])
        assert pair.deref() == [1, 2]
        with pytest.raises(InvalidArgumentError, match=r"collections\.deque"):
            session.global_("collections", "deque")().deref()
        with pytest.raises(InvalidArgumentError, match="keyword arguments beside an Obj"):
            session.global_("builtins", "sorted")(counter, reverse=True)


def test_python_objects_stay_what_they_are_within_a_session(manager: InterpreterManager) -> None:
    with manager.acquire_one() as session:
        items = session.from_value([])
        items.append(7)
        assert items.deref() == [7]


def test_errors_are_those_of_the_interpreter(manager: InterpreterManager) -> None:
    with manager.acquire_one() as session:
        with pytest.raises(ModelError, match="ModuleNotFoundError: No module named 'nowhere'"):
            session.global_("nowhere", "x")
        with pytest.raises(ModelError, match="ZeroDivisionError"):
            session.global_("operator", "truediv")(1, 0)


def test_session_is_opened_for_a_replica_or_an_importer(
    manager: InterpreterManager, archive: Path
) -> None:
    opened = manager.load_package(archive)
    torch.manual_seed(0)
    with torch.no_grad():
        expected = Affine().eval()(torch.ones(2, 4))["y"]
    with opened.load_pickle().acquire_session() as session:
        replica = session.self
        assert torch.equal(replica(torch.ones(2, 4)).deref()["y"].detach(), expected)
        assert replica.training.deref() is False
    with opened.acquire_session() as session:
        assert session.self.filename.deref() == str(archive)
    with manager.acquire_one() as session, pytest.raises(FailedPreconditionError, match="empty"):
        session.self.deref()


def test_what_outlives_its_session_or_thread_is_a_clear_error(manager: InterpreterManager) -> None:
    with manager.acquire_one() as session, ThreadPoolExecutor(1) as pool:
        one = session.from_value(1)
        with pytest.raises(FailedPreconditionError, match="only on the thread that made"):
            pool.submit(one.deref).result()
        with pytest.raises(FailedPreconditionError, match="ended by the thread that acquired it"):
            pool.submit(session.end).result()
    with pytest.raises(FailedPreconditionError, match="session of this object has ended"):
        one.deref()
    with pytest.raises(FailedPreconditionError, match="This session has ended"):
        session.global_("os", "sep")
    session.end()


def test_sessions_nest_and_what_could_never_end_is_refused(manager: InterpreterManager) -> None:
    with manager[0].acquire_session() as outer, manager[0].acquire_session() as inner:
        assert outer.slot == inner.slot == 0
        with manager.acquire_one() as other:
            assert other.slot == 1
            with pytest.raises(FailedPreconditionError, match="could not end"):
                manager.acquire_one()
            with pytest.raises(FailedPreconditionError, match="object of another interpreter"):
                outer.global_("builtins", "len")(other.from_value([]))


def test_session_keeps_its_interpreter_from_other_threads(manager: InterpreterManager) -> None:
    order: list[str] = []

    def wait_for_it() -> None:
        with manager[0].acquire_session():
            order.append("second")

    with manager[0].acquire_session():
        waiting = threading.Thread(target=wait_for_it)
        waiting.start()
        waiting.join(0.2)
        order.append("first")
    waiting.join()
    assert order == ["first", "second"]


def test_interpreters_are_counted_from_0(manager: InterpreterManager) -> None:
    assert [manager[slot].slot for slot in range(len(manager))] == [0, 1]
    with pytest.raises(IndexError, match="there is no interpreter 2; expected 0 to 1"):
        manager[2]
    with pytest.raises(InvalidArgumentError, match="There is no slot 9"):
        manager.acquire_session(9)


def test_closing_under_a_session_is_refused_and_possible_afterwards() -> None:
    manager = InterpreterManager(1, intra_op_threads=1)
    with (
        manager.acquire_one(),
        pytest.raises(FailedPreconditionError, match="this thread's own session"),
    ):
        manager.close()
    manager.close()
    with pytest.raises(UnavailableError):
        manager.acquire_one()


def test_process_may_end_with_a_session_open(
    run_python: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    program = """
from torchdeploy_pkg import InterpreterManager

manager = InterpreterManager(1, intra_op_threads=1)
session = manager.acquire_one()
print(session.from_value(5).deref())
"""
    done = run_python("-c", program, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, "5\n"), done.stderr
