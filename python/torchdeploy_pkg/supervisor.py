"""Starts the server again when it dies."""

from __future__ import annotations

import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING

import click

from torchdeploy_pkg.server_process import READY_LINE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

_FIRST_DELAY_S = 0.1
_LONGEST_DELAY_S = 30.0
# Who has served for so long starts without delay when it dies.
_STABLE_S = 60.0
_LAST_LINES_S = 1.0


class _Supervisor:
    """Runs one server after the other, until one ends by itself or a signal comes."""

    def __init__(self, command: Sequence[str]) -> None:
        self._command = command
        self._process: subprocess.Popen[str] | None = None
        self._is_stopping = threading.Event()
        self._has_served = False

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._pass_on)
        delay_s = _FIRST_DELAY_S
        while True:
            begin = time.monotonic()
            status = self._run_once()
            if status == 0 or not self._has_served or self._is_stopping.is_set():
                return status if status >= 0 else 128 - status
            if time.monotonic() - begin > _STABLE_S:
                delay_s = _FIRST_DELAY_S
            click.echo(
                f"torchdeploy: the server died ({_cause(status)}); it is started again", err=True
            )
            if self._is_stopping.wait(delay_s):
                return 0
            delay_s = min(2 * delay_s, _LONGEST_DELAY_S)

    def _run_once(self) -> int:
        # A group of its own: a terminal's Ctrl-C comes here, and is passed on once.
        process = self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        if self._is_stopping.is_set():
            process.terminate()
        # Not to its end: a model's subprocess may hold the pipe when the server is gone.
        reader = threading.Thread(target=self._pass_lines, args=(process,), daemon=True)
        reader.start()
        status = process.wait()
        reader.join(_LAST_LINES_S)
        return status

    def _pass_lines(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                self._has_served = self._has_served or READY_LINE.match(line) is not None
                click.echo(line, nl=False)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._is_stopping.set()
        if self._process is not None:
            self._process.send_signal(number)


def _cause(status: int) -> str:
    return f"exit status {status}" if status >= 0 else signal.Signals(-status).name


def supervise(command: Sequence[str]) -> int:
    """Run the server, and again whenever it dies, until SIGTERM or SIGINT, which it is sent.

    A server that ends before any has served is not started again: its message says why. Between
    two servers nobody listens: clients see UNAVAILABLE.

    To be called on the main thread.

    Returns:
        The exit status of the last; 128 and the signal's number if it died of one.
    """
    return _Supervisor(command).run()
