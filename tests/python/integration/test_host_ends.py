"""How a Python process ends that holds interpreters: what models still do, and what may hang."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import ending_model
import pytest
from torch.package.package_exporter import PackageExporter

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

WORDS = "buffered words of a model\nlast words of a model\n"

HOST = """
import os, sys, threading, time
from torchdeploy_pkg import InterpreterManager

manager = InterpreterManager(2, intra_op_threads=1)
package = manager.load_package(sys.argv[1])
say_last_words, loop, hold, nap = (
    package.load_pickle("model", name) for name in ("say_last_words", "loop", "hold", "nap"))
nap(0)

def start(call, *args):
    thread = threading.Thread(target=call, args=args, daemon=True)
    thread.start()
    time.sleep(0.3)

with manager.acquire_session(1):
    say_last_words()  # In interpreter 0; the next call is in 1, the last to become free.
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("host_ends") / "ending.pt"
    with PackageExporter(str(path)) as exporter:
        exporter.intern("ending_model")
        exporter.extern("**")
        for name in ("say_last_words", "loop", "hold", "nap"):
            exporter.save_pickle("model", name, getattr(ending_model, name))
    return path


def end_host(archive: Path, ending: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", HOST + ending, str(archive)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "manager.close(); sys.exit(0)",
        "start(hold)",
        "start(loop); start(loop); start(nap, 1)",
        "loop.call_async()",
        "session = manager.acquire_session(1); start(nap, 1)",
    ],
)
def test_models_have_their_last_words_whatever_hangs(archive: Path, ending: str) -> None:
    done = end_host(archive, ending)
    assert (done.returncode, done.stdout, done.stderr) == (0, WORDS, "")


def test_calls_that_run_are_waited_for(archive: Path) -> None:
    ending = """
def report():
    nap(1)
    print("nap is over", flush=True)
start(report)
nap.call_async(1).add_done_callback(lambda done: print("so is", done.result(), flush=True))
"""
    done = end_host(archive, ending)
    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == sorted(
        ["nap is over", "so is 1", *WORDS.splitlines()]
    )


def test_child_that_the_host_forks_ends_at_once_and_leaves_last_words_to_its_parent(
    archive: Path,
) -> None:
    ending = """
start(nap, 2)
child = os.fork()
if child == 0:
    import signal
    signal.alarm(5)
    sys.exit(3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
    done = end_host(archive, ending)
    assert (done.returncode, done.stdout, done.stderr) == (0, "3\n" + WORDS, "")
