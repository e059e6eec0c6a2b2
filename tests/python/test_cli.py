"""The command line, and the server process that it starts."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner, Result

from torchdeploy_pkg import Manifest, Server, server_process
from torchdeploy_pkg.cli import main
from torchdeploy_pkg.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    NotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

NET = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(3, 2)

    def forward(self, x):
        return {"y": self.linear(x), "kept": {1}}

def example():
    return torch.ones(2, 3)
"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cli_net.py").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    sys.modules.pop("cli_net", None)
    return tmp_path


def test_package_then_inspect(folder: Path) -> None:
    done = run("package", "cli_net:Net", "net.pt", "--example", "cli_net:example", "--version", "2")
    assert done.exit_code == 0, done.output
    assert "net version 2" in done.output
    assert "Warning: these outputs" in done.stderr
    shown = run("inspect", folder / "net.pt")
    assert shown.exit_code == 0
    assert "[-1, 3]" in shown.output
    manifest = Manifest.from_json(run("inspect", folder / "net.pt", "--json").output)
    assert [spec.name for spec in manifest.outputs] == ["y"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["package", "cli_net", "m.pt"], "'cli_net' is not MODULE:NAME"),
        (["package", "absent:Net", "m.pt"], "no module named 'absent'"),
        (["package", "cli_net:Absent", "m.pt"], "cli_net has no 'Absent'"),
        (["package", "cli_net:Net", "my model.pt"], "name is 'my model'"),
        (["inspect", "absent.pt"], "absent.pt: no such file"),
        (["serve", "absent.pt"], "absent.pt: no such file or folder"),
        (["infer", "127.0.0.1:1", "m", "--timeout", "2"], "Error: "),
    ],
)
@pytest.mark.usefixtures("folder")
def test_mistake_is_one_message(arguments: list[str], message: str) -> None:
    done = run(*arguments)
    assert done.exit_code != 0
    assert message in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize("command", ["", "package", "inspect", "serve", "infer"])
def test_help_shows_examples(command: str) -> None:
    done = run(*filter(None, [command, "--help"]))
    assert done.exit_code == 0
    assert f"  torchdeploy {command}".rstrip() in done.output


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    server = Path(__file__).with_name("oip_server.py")
    with subprocess.Popen(
        [sys.executable, str(server)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"
        process.stdin.close()


def test_infer_takes_json_and_numpy_files(folder: Path, url: str) -> None:
    np.save(folder / "n.npy", np.arange(3))
    done = run(
        "infer", url, "echo", "--input", "x=[[1, 2, 3]]", "--input", "n=@n.npy",
        "--input", 't=["a", "é"]', "--json",
    )  # fmt: skip
    assert json.loads(done.output) == {"x": [[1.0, 2.0, 3.0]], "n": [0, 1, 2], "t": ["a", "é"]}
    shown = run("infer", url, "echo", "--input", "x=[[1, 2, 3]]", "--output", "x")
    assert shown.output == "x: float32 [1, 3]\n[[1. 2. 3.]]\n"


@pytest.mark.parametrize("value", ["x", "x=[1,"])
def test_infer_refuses_what_is_no_input(url: str, value: str) -> None:
    assert f"--input {value[:1]}" in run("infer", url, "echo", "--input", value).output.replace(
        "'", ""
    )


# A program in the server's place: it speaks its line, and does as its archive's name says.
STAND_IN = """#!{python}
import signal, sys, time
from pathlib import Path
archive = Path(sys.argv[1]).name
if archive == "fails.pt":
    sys.exit("no such model")
if archive == "stubborn.pt":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("loading", *sys.argv[1:], flush=True)
if archive != "slow.pt":
    print("torchdeploy: serving a, b on 127.0.0.1:4321 with 2 interpreters", flush=True)
for _ in range(200):
    print("x" * 1000, flush=True)
time.sleep(60)
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    binary = tmp_path / "torchdeploy-server"
    binary.write_text(textwrap.dedent(STAND_IN).format(python=sys.executable))
    binary.chmod(binary.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(server_process, "server_binary", lambda: binary)
    for name in ("good.pt", "fails.pt", "slow.pt", "stubborn.pt"):
        (tmp_path / name).touch()
    return tmp_path


def test_server_tells_its_address_and_ends_in_order(stand_in: Path) -> None:
    server = Server(stand_in / "good.pt", interpreters=2)
    with server:
        assert (server.url, server.models) == ("127.0.0.1:4321", ("a", "b"))
    server.start()
    assert server.stop() == 0
    assert server.stop() == 0


def test_command_names_this_python_and_only_what_was_given(stand_in: Path) -> None:
    command = server_process.server_command(stand_in / "good.pt", interpreters=3)
    assert command[1:] == [
        str(stand_in / "good.pt"), "--python", sys.executable, "--interpreters", "3",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("archive", "error"),
    [("fails.pt", FailedPreconditionError), ("slow.pt", DeadlineExceededError)],
)
def test_server_that_does_not_come_up_is_an_error(
    stand_in: Path, archive: str, error: type[Exception]
) -> None:
    with pytest.raises(error), Server(stand_in / archive, start_timeout_s=3):
        pass


def test_server_that_does_not_end_is_killed(stand_in: Path) -> None:
    server = Server(stand_in / "stubborn.pt", stop_timeout_s=0.2)
    server.start()
    with pytest.raises(InternalError, match=r"did not end within 0\.2 s"):
        server.stop()


def test_installation_without_a_server_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_process, "__file__", str(tmp_path / "server_process.py"))
    (tmp_path / "m.pt").touch()
    with pytest.raises(NotFoundError, match="install torchdeploy_pkg with pip"):
        Server(tmp_path / "m.pt")
