"""How the server ends when it cannot serve: its exit code, and one line that says why."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
import torch
from own_models import SlowToLoad

from torchdeploy_pkg import package
from torchdeploy_pkg.server_process import server_command

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration


def serve_in_vain(archive: Path, port: int = 0) -> str:
    command = server_command(archive, interpreters=1, port=port)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    return done.stderr


def test_file_that_is_no_archive_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.pt").write_text("not a model")
    message = serve_in_vain(tmp_path / "notes.pt")
    assert message.startswith("torchdeploy: DATA_LOSS: ")
    assert "notes.pt" in message
    assert message.count("\n") == 1


def test_port_in_use_is_named_in_one_line(tmp_path: Path) -> None:
    package(torch.nn.Identity().eval(), tmp_path / "identity.pt", example_inputs=torch.ones(1))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = serve_in_vain(tmp_path / "identity.pt", port)
    where = f"127.0.0.1:{port}"
    assert (
        message == f"torchdeploy: UNAVAILABLE: cannot listen on {where}: Address already in use\n"
    )


def test_sigterm_ends_a_server_that_still_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package(SlowToLoad().eval(), tmp_path / "slow.pt", example_inputs=torch.ones(1))
    loading = tmp_path / "loading"
    monkeypatch.setitem(os.environ, SlowToLoad.MARKER, str(loading))
    command = server_command(tmp_path / "slow.pt", interpreters=1, port=0)
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        while not loading.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 128 + signal.SIGTERM
