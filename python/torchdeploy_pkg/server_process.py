"""A server in a process of its own, for scripts, notebooks and tests."""

from __future__ import annotations

import os
import queue
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict, cast

from torchdeploy_pkg.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    NotFoundError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import Unpack

READY_LINE = re.compile(
    r"torchdeploy: serving (?P<names>.+) on (?P<url>\S+:\d+) with \d+ interpreters?"
    r"(?:, metrics on (?P<metrics_url>\S+))?"
)

_NO_MODEL = "no model yet"


def server_binary() -> Path:
    """The server that this installation brought.

    Raises:
        NotFoundError: It brought none.
    """
    binary = Path(__file__).parent / "bin" / "torchdeploy-server"
    if not binary.is_file():
        msg = f"{binary} is missing: install torchdeploy_pkg with pip, which builds the server"
        raise NotFoundError(msg)
    return binary


class ServerOptions(TypedDict, total=False):
    """Options of the server, by its own names with underscores; None is its default.

    ``torchdeploy serve --help`` says what each does.
    """

    host: str | None
    port: int | None
    interpreters: int | None
    intra_op_threads: int | None
    pin_cores: bool
    max_queue_size: int | None
    model_control: str | None
    load_model: Iterable[str]
    poll_interval_s: float | None
    allow_shared_memory: bool
    tls_cert: str | os.PathLike[str] | None
    tls_key: str | os.PathLike[str] | None
    tls_client_ca: str | os.PathLike[str] | None
    tokens: str | os.PathLike[str] | None
    trusted_sha256: str | os.PathLike[str] | None
    trusted_keys: str | os.PathLike[str] | None
    max_request_bytes: int | None
    max_bytes_in_flight: int | None
    metrics_port: int | None
    otlp_endpoint: str | None
    trace_rate: int | None
    allow_settings: bool
    log_format: str | None
    drain_grace_s: float | None
    cache: str | os.PathLike[str] | None


def server_command(path: str | os.PathLike[str], **options: Unpack[ServerOptions]) -> list[str]:
    """The command that serves an archive, or a folder ``NAME/VERSION/*.pt`` or ``*.pt2``.

    The interpreters use the packages of the Python that runs this.

    Raises:
        NotFoundError: There is no such path, or this installation has no server.
    """
    if not Path(path).exists():
        msg = f"{path}: no such file or folder"
        raise NotFoundError(msg)
    words = [str(server_binary()), str(path), "--python", sys.executable]
    for name, value in options.items():
        words += _words("--" + name.replace("_", "-"), value)
    return words


def _words(option: str, value: object) -> list[str]:
    if value is None or value is False:
        return []
    if value is True:
        return [option]
    if isinstance(value, (str, int, float, os.PathLike)):
        return [option, str(value)]
    return [word for item in cast("Iterable[object]", value) for word in (option, str(item))]


class Server:
    """Serves an archive while a ``with`` block runs.

    Args:
        path: An archive, or a folder ``NAME/VERSION/*.pt`` or ``*.pt2``.
        start_timeout_s: Seconds within which every replica must have been loaded.
        stop_timeout_s: Seconds that accepted requests are given at the end.
        options: The server's; by default any free port.

    Attributes:
        url: ``"HOST:PORT"``, once started.
        models: Names of the models that are served, once started.
        metrics_url: Of Prometheus's metrics, once started with a `metrics_port`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        start_timeout_s: float = 120.0,
        stop_timeout_s: float = 45.0,
        **options: Unpack[ServerOptions],
    ) -> None:
        options.setdefault("port", 0)
        self._command = server_command(path, **options)
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.models: tuple[str, ...] = ()
        self.metrics_url = ""

    def __enter__(self) -> Server:
        self.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def process_id(self) -> int | None:
        """Of the server; None unless it was started."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the server and wait until it is ready.

        Raises:
            FailedPreconditionError: It ended; its own message is on stderr.
            DeadlineExceededError: It was not ready in time, and was ended.
        """
        self._process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        found: queue.Queue[re.Match[str] | None] = queue.Queue()
        threading.Thread(target=_read, args=(self._process, found), daemon=True).start()
        try:
            self._wait_until_ready(found)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> int:
        """Ask the server to end, and wait until every accepted request is answered.

        Returns:
            The exit status; 0 after an orderly end, or when it was not started.

        Raises:
            InternalError: It did not end in time, and was killed.
        """
        process, self._process = self._process, None
        if process is None:
            return 0
        process.terminate()
        try:
            return process.wait(self._stop_timeout_s)
        except subprocess.TimeoutExpired as exc:
            process.kill()
            process.wait()
            msg = f"the server did not end within {self._stop_timeout_s:g} s and was killed"
            raise InternalError(msg) from exc

    def _wait_until_ready(self, found: queue.Queue[re.Match[str] | None]) -> None:
        try:
            match = found.get(timeout=self._start_timeout_s)
        except queue.Empty as exc:
            msg = f"the server was not ready within {self._start_timeout_s:g} s"
            raise DeadlineExceededError(msg) from exc
        if match is None:
            msg = "the server ended before it was ready; its message is on stderr"
            raise FailedPreconditionError(msg)
        self.url = match["url"]
        self.metrics_url = match["metrics_url"] or ""
        names = match["names"]
        self.models = () if names == _NO_MODEL else tuple(names.split(", "))


def _read(process: subprocess.Popen[str], found: queue.Queue[re.Match[str] | None]) -> None:
    """Finds the ready line, and reads on for as long as the server lives, so that it can write."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            match = READY_LINE.search(line)
            if match is not None:
                found.put(match)
    found.put(None)
