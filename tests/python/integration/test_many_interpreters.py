"""Several interpreters in one server: isolation, load and the same names side by side."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
from torch import nn

from torchdeploy_pkg import Client, Server, package
from torchdeploy_pkg.errors import FailedPreconditionError
from torchdeploy_pkg.server_process import server_command

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

# Long enough to meet a deadlock.
LOAD_SECONDS = float(os.environ.get("TORCHDEPLOY_TEST_LOAD_SECONDS", "60"))


class Tower(nn.Module):
    """Layers whose answer depends on the input and on the weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(16, 16) for _ in range(50))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.relu(layer(x))
        return x


@pytest.mark.timeout(LOAD_SECONDS + 240)
def test_eight_interpreters_answer_sixteen_threads_correctly(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Tower().eval()
    archive = tmp_path / "tower.pt"
    package(model, archive, example_inputs=torch.ones(1, 16))
    xs = torch.randn(64, 1, 16)
    with torch.no_grad():
        expected = [model(x).numpy() for x in xs]
    with Server(archive, interpreters=8, intra_op_threads=1, start_timeout_s=240) as server:
        end = time.monotonic() + LOAD_SECONDS

        def ask(thread: int) -> int:
            calls = 0
            with Client(server.url) as client:
                while time.monotonic() < end:
                    k = (thread + calls) % len(xs)
                    answer = client.infer("tower", {"x": xs[k]}, timeout_s=30)
                    assert np.array_equal(answer["output"], expected[k])
                    calls += 1
            return calls

        with ThreadPoolExecutor(16) as pool:
            calls = list(pool.map(ask, range(16)))
        assert server.stop() == 0
    # Nobody starved: callers are served in the order of arrival.
    assert min(calls) > max(calls) / 4


def write_model(folder: Path, source: str) -> None:
    """A project with a module `net` of its own, packaged by a Python of its own."""
    folder.mkdir()
    (folder / "net.py").write_text("import torch\n" + textwrap.dedent(source))
    program = """
        import torch, net
        from torchdeploy_pkg import package
        package(net.Net().eval(), "model.pt", name=NAME, example_inputs=torch.arange(3.0))
        """
    program = textwrap.dedent(program).replace("NAME", repr(folder.name))
    subprocess.run([sys.executable, "-c", program], cwd=folder, check=True)
    (folder / "1").mkdir()
    (folder / "model.pt").rename(folder / "1" / "model.pt")
    (folder / "net.py").unlink()


def net_that(expression: str) -> str:
    return f"""
        class Net(torch.nn.Module):
            def forward(self, x):
                return {expression}
        """


def test_equally_named_modules_of_two_archives_stay_apart(tmp_path: Path) -> None:
    write_model(tmp_path / "doubles", net_that("2 * x"))
    write_model(tmp_path / "negates", net_that("-x"))
    x = np.arange(3, dtype=np.float32)
    with Server(tmp_path, interpreters=2) as server, Client(server.url) as client:
        for _ in range(8):
            assert np.array_equal(client.infer("doubles", {"x": x})["output"], 2 * x)
            assert np.array_equal(client.infer("negates", {"x": x})["output"], -x)


def operator_that(expression: str) -> str:
    return f"""
        @torch.library.custom_op("clash::op", mutates_args=())
        def op(x: torch.Tensor) -> torch.Tensor:
            return {expression}


        class Net(torch.nn.Module):
            def forward(self, x):
                return torch.ops.clash.op(x)
        """


def test_operators_that_clash_are_refused_by_the_names_of_both(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write_model(tmp_path / "first", operator_that("x + 1"))
    write_model(tmp_path / "second", operator_that("x - 1"))
    with pytest.raises(FailedPreconditionError):
        Server(tmp_path, interpreters=1).start()
    message = capfd.readouterr().err
    assert "clash::op" in message
    assert "first" in message
    assert "second" in message


def test_the_same_operator_in_two_archives_is_served_by_both(tmp_path: Path) -> None:
    write_model(tmp_path / "first", operator_that("x + 1"))
    write_model(tmp_path / "second", operator_that("x + 1"))
    x = np.arange(3, dtype=np.float32)
    with Server(tmp_path, interpreters=2) as server, Client(server.url) as client:
        assert np.array_equal(client.infer("first", {"x": x})["output"], x + 1)
        assert np.array_equal(client.infer("second", {"x": x})["output"], x + 1)


MEETING = """
    import time


    class Net(torch.nn.Module):
        def forward(self, x):
            begin = time.monotonic()
            while time.monotonic() < begin + 0.5:  # Holds its GIL throughout.
                pass
            return torch.tensor([begin, time.monotonic()], dtype=torch.float64)
    """


def test_calls_run_in_two_interpreters_at_the_same_time(tmp_path: Path) -> None:
    write_model(tmp_path / "meeting", MEETING)
    x = np.zeros(3, np.float32)
    with (
        Server(tmp_path, interpreters=2) as server,
        Client(server.url) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        answers = list(pool.map(lambda _: client.infer("meeting", {"x": x}), range(2)))
    (a_begin, a_end), (b_begin, b_end) = (answer["output"] for answer in answers)
    assert max(a_begin, b_begin) < min(a_end, b_end)


HOSTILE = """
    import ctypes, os, signal, subprocess, sys, warnings


    class Net(torch.nn.Module):
        def forward(self, x):
            kind = int(x[0])
            if kind == 8:
                sys.exit(3)
            if kind == 1:
                signal.signal(signal.SIGTERM, lambda *a: None)
            if kind == 2:
                os.chdir("/")
            if kind == 3:
                torch.set_grad_enabled(True)
                torch.set_default_dtype(torch.float64)
                torch.set_num_threads(7)
                warnings.simplefilter("error")
            if kind == 4:
                for i in range(2000):
                    os.environ[f"X{i % 50}"] = str(i)
            if kind == 5:
                pipe = subprocess.Popen(["true"], stdin=subprocess.PIPE)
                pipe.wait()
                os.write(pipe.stdin.fileno(), b"x")
            if kind == 6:
                raise KeyboardInterrupt
            if kind == 7:
                return torch.tensor([ctypes.pythonapi.Py_IsInitialized()])
            print("\\u00e9", file=sys.stderr)
            return torch.ones(2).sum() + x
    """


def test_nothing_that_a_model_does_ends_the_server(tmp_path: Path) -> None:
    write_model(tmp_path / "hostile", HOSTILE)
    with Server(tmp_path, interpreters=2) as server:
        client = triton.InferenceServerClient(server.url)

        def ask(kind: int) -> str:
            x = triton.InferInput("x", [3], "FP32")
            x.set_data_from_numpy(np.array([kind, 0, 0], np.float32))
            try:
                answer = client.infer("hostile", [x]).as_numpy("output")
                assert answer is not None
            except triton.InferenceServerException as error:
                return str(error.message())
            else:
                return str(answer.dtype)

        for _ in range(4):
            assert ask(8).startswith("SystemExit")
            assert ask(1) == "float32"
            assert ask(2).startswith("PermissionError")
            assert ask(3) == "float32"
            assert ask(5).startswith("BrokenPipeError")
            assert ask(6).startswith("KeyboardInterrupt")
            assert ask(9) == "float32", "a call must leave the default dtype as it found it"
        threads = [threading.Thread(target=ask, args=(4,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        client.close()
        assert server.stop() == 0, "SIGTERM still drains"


def test_debians_python_serves_as_well(tmp_path: Path) -> None:
    """Its executable is linked statically; its libpython is a package of its own."""
    python = tmp_path / "debian" / "bin" / "python"
    subprocess.run(
        ["/usr/bin/python3", "-m", "venv", "--without-pip", python.parents[1]], check=True
    )
    packages = sysconfig.get_path("purelib")
    (site,) = python.parents[1].glob("lib/python3*/site-packages")
    (site / "packages.pth").write_text(packages)
    write_model(tmp_path / "models", net_that("2 * x"))
    archive = tmp_path / "models" / "1" / "model.pt"
    command = server_command(archive, port=0, interpreters=2)
    command[command.index(sys.executable)] = str(python)
    x = np.arange(3, dtype=np.float32)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        ready = server.stdout.readline().split()
        with Client(ready[ready.index("on") + 1]) as client:
            assert np.array_equal(client.infer("models", {"x": x})["output"], 2 * x)
        server.terminate()
        assert server.wait(30) == 0
