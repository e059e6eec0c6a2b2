"""A server in a process of its own, for scripts, notebooks and tests."""

from __future__ import annotations

import queue
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from torchdeploy_pkg.errors import (
    DeadlineExceededError,
    FailedPreconditionError,
    InternalError,
    NotFoundError,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from types import TracebackType

_READY = re.compile(r"torchdeploy: serving (?P<names>.+) on (?P<url>\S+:\d+) with \d+ interpreter")

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


def server_command(
    path: str | os.PathLike[str],
    *,
    host: str = "127.0.0.1",
    port: int = 8001,
    interpreters: int | None = None,
    intra_op_threads: int | None = None,
    pin_cores: bool = False,
    max_queue_size: int | None = None,
    model_control: str | None = None,
    load_models: Iterable[str] = (),
    poll_interval_s: float | None = None,
    allow_shared_memory: bool = False,
    cache: str | os.PathLike[str] | None = None,
) -> list[str]:
    """The command that serves an archive, or a folder ``NAME/VERSION/*.pt``.

    The interpreters use the packages of the Python that runs this.

    Raises:
        NotFoundError: There is no such path, or this installation has no server.
    """
    if not Path(path).exists():
        msg = f"{path}: no such file or folder"
        raise NotFoundError(msg)
    options = {
        "--host": host,
        "--port": port,
        "--interpreters": interpreters,
        "--intra-op-threads": intra_op_threads,
        "--max-queue-size": max_queue_size,
        "--model-control": model_control,
        "--poll-interval-s": poll_interval_s,
        "--python": sys.executable,
        "--cache": cache,
    }
    given = [(name, str(value)) for name, value in options.items() if value is not None]
    given += [("--load-model", name) for name in load_models]
    flags = {"--pin-cores": pin_cores, "--allow-shared-memory": allow_shared_memory}
    words = [word for pair in given for word in pair]
    return [str(server_binary()), str(path), *words, *(name for name, on in flags.items() if on)]


class Server:
    """Serves an archive while a ``with`` block runs.

    Args:
        path: An archive, or a folder ``NAME/VERSION/*.pt``.
        interpreters: Number of interpreters; by default the number of cores.
        intra_op_threads: Threads of torch's own for each call; by default the server's choice.
        host: Address to bind to.
        port: Port to bind to; 0 for any that is free.
        model_control: Which models are served: ``"none"`` (all, to the end), ``"explicit"`` (by
            request), ``"poll"`` (all, as the folder changes).
        load_models: What is served from the start, with ``"explicit"``.
        poll_interval_s: Seconds between two looks at the folder, with ``"poll"``.
        allow_shared_memory: Whether clients on this machine may pass tensors in shared memory.
        start_timeout_s: Seconds within which every replica must have been loaded.
        stop_timeout_s: Seconds that accepted requests are given at the end.

    Attributes:
        url: ``"HOST:PORT"``, once started.
        models: Names of the models that are served, once started.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        interpreters: int | None = None,
        intra_op_threads: int | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        model_control: str | None = None,
        load_models: Iterable[str] = (),
        poll_interval_s: float | None = None,
        allow_shared_memory: bool = False,
        start_timeout_s: float = 120.0,
        stop_timeout_s: float = 30.0,
    ) -> None:
        self._command = server_command(
            path,
            host=host,
            port=port,
            interpreters=interpreters,
            intra_op_threads=intra_op_threads,
            model_control=model_control,
            load_models=load_models,
            poll_interval_s=poll_interval_s,
            allow_shared_memory=allow_shared_memory,
        )
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._process: subprocess.Popen[str] | None = None
        self.url = ""
        self.models: tuple[str, ...] = ()

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
        names = match["names"]
        self.models = () if names == _NO_MODEL else tuple(names.split(", "))


def _read(process: subprocess.Popen[str], found: queue.Queue[re.Match[str] | None]) -> None:
    """Finds the ready line, and reads on for as long as the server lives, so that it can write."""
    assert process.stdout is not None
    with process.stdout as lines:
        for line in lines:
            match = _READY.search(line)
            if match is not None:
                found.put(match)
    found.put(None)
