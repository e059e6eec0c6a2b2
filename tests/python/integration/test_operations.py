"""What operators need: TLS, tokens, metrics, logs, an end in time, and a start after a crash."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
import trustme
from obedient_model import ANSWER, DIE, LOOP, RAISE, Obedient
from tritonclient.utils import InferenceServerException

from torchdeploy_pkg import Client, ModelError, Server, Tls, package
from torchdeploy_pkg.errors import (
    PermissionDeniedError,
    StatusError,
    UnauthenticatedError,
    UnavailableError,
)
from torchdeploy_pkg.server_process import server_command

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

TOKENS = """
inference: [token-of-an-application]
statistics: [token-of-an-operator]
"""


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("archive") / "obedient.pt"
    package(Obedient().eval(), path, example_inputs=torch.tensor([ANSWER]))
    return path


def tell(client: Client, what: int, timeout_s: float = 60) -> int:
    answer = client.infer("obedient", {"what": np.array([what])}, timeout_s=timeout_s)
    return int(next(iter(answer.values()))[0])


class Certificates:
    """A certificate authority, the server's certificate, and a client's, as files."""

    def __init__(self, folder: Path) -> None:
        self.ca = folder / "ca.pem"
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.ca)
        self.cert, self.key = self._write(folder, "server", authority.issue_cert("localhost"))
        client = self._write(folder, "client", authority.issue_cert("somebody@localhost"))
        self.client_cert, self.client_key = client

    @staticmethod
    def _write(folder: Path, name: str, cert: trustme.LeafCert) -> tuple[Path, Path]:
        cert_path, key_path = folder / f"{name}.pem", folder / f"{name}-key.pem"
        cert.private_key_pem.write_to_path(key_path)
        for part in cert.cert_chain_pems:
            part.write_to_path(cert_path, append=True)
        return cert_path, key_path


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def secured(
    archive: Path, certificates: Certificates, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    tokens = tmp_path_factory.mktemp("tokens") / "tokens.yaml"
    tokens.write_text(TOKENS)
    with Server(
        archive,
        interpreters=1,
        tls_cert=certificates.cert,
        tls_key=certificates.key,
        tls_client_ca=certificates.ca,
        tokens=tokens,
    ) as server:
        yield server.url.replace("127.0.0.1", "localhost")


def own(certificates: Certificates) -> Tls:
    return Tls(certificates.ca, certificates.client_cert, certificates.client_key)


def test_a_client_with_certificate_and_token_is_answered(
    secured: str, certificates: Certificates
) -> None:
    with Client(secured, tls=own(certificates), token="token-of-an-application") as client:
        assert tell(client, ANSWER) == ANSWER


def test_a_stock_client_with_certificate_and_token_is_answered(
    secured: str, certificates: Certificates
) -> None:
    with triton.InferenceServerClient(
        secured,
        ssl=True,
        root_certificates=str(certificates.ca),
        private_key=str(certificates.client_key),
        certificate_chain=str(certificates.client_cert),
    ) as client:
        value = triton.InferInput("what", [1], "INT64")
        value.set_data_from_numpy(np.array([ANSWER]))
        headers = {"authorization": "Bearer token-of-an-application"}
        assert client.infer("obedient", [value], headers=headers).get_response().model_name
        with pytest.raises(InferenceServerException, match="token") as refused:
            client.infer("obedient", [value])
        assert refused.value.status() == "StatusCode.UNAUTHENTICATED"
        with pytest.raises(InferenceServerException, match="statistics") as denied:
            client.get_inference_statistics(headers=headers)
        assert denied.value.status() == "StatusCode.PERMISSION_DENIED"
        operator = {"authorization": "Bearer token-of-an-operator"}
        assert client.get_inference_statistics(headers=operator).model_stats
        # Probes have no token.
        assert client.is_server_ready()
        assert client.is_model_ready("obedient")


def test_the_command_line_asks_with_certificate_and_token(
    secured: str, certificates: Certificates
) -> None:
    command = [sys.executable, "-m", "torchdeploy_pkg.cli", "infer", secured, "obedient"]
    command += ["--input", "what=[0]", "--tls-ca", str(certificates.ca)]
    command += ["--tls-cert", str(certificates.client_cert)]
    command += ["--tls-key", str(certificates.client_key)]
    for token, returncode in (("token-of-an-application", 0), ("token-of-an-operator", 1)):
        environment = {**os.environ, "TORCHDEPLOY_TOKEN": token}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == returncode, done.stderr


def test_tokens_are_told_apart(secured: str, certificates: Certificates) -> None:
    with (
        Client(secured, tls=own(certificates), token="token-of-an-operator") as operator,
        Client(secured, tls=own(certificates), token="token-of-nobody-at-all") as stranger,
    ):
        with pytest.raises(PermissionDeniedError):
            tell(operator, ANSWER)
        with pytest.raises(UnauthenticatedError, match="unknown"):
            tell(stranger, ANSWER)


def test_who_has_no_certificate_does_not_connect(secured: str, certificates: Certificates) -> None:
    with (
        Client(secured, tls=Tls(certificates.ca), token="token-of-an-application") as without,
        Client(secured) as plain,
    ):
        for client in (without, plain):
            with pytest.raises(UnavailableError):
                tell(client, ANSWER, timeout_s=5)


def test_a_token_is_not_sent_in_the_clear() -> None:
    with pytest.raises(ValueError, match="TLS"):
        Client("localhost:1", token="token-of-an-application")


@contextlib.contextmanager
def started(
    command: list[str], stderr: IO[str] | int
) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A server's process, and the lines that it writes, from when it is ready."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process:
        lines: list[str] = []
        is_ready = threading.Event()

        def read() -> None:
            for line in process.stdout or ():
                lines.append(line)
                if " serving " in line:
                    is_ready.set()

        reader = threading.Thread(target=read)
        reader.start()
        try:
            assert is_ready.wait(60)
            yield process, lines
        finally:
            process.kill()
            reader.join()


def found(pattern: str, lines: list[str]) -> str:
    match = re.search(pattern, "".join(lines))
    assert match is not None
    return match[1]


def samples(text: str) -> dict[str, float]:
    """Prometheus's text format: name and labels as they are written, and the value."""
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def test_metrics_are_served_over_http_and_failures_logged_as_json(
    archive: Path, tmp_path: Path
) -> None:
    command = server_command(archive, interpreters=1, port=0, metrics_port=0, log_format="json")
    log = tmp_path / "log"
    with log.open("w") as errors, started(command, errors) as (process, lines):
        url = found(r" on (\S+:\d+) with", lines)
        metrics_url = found(r"(http://\S+/metrics)", lines)
        with Client(url) as client:
            assert tell(client, ANSWER) == ANSWER
            with pytest.raises(ModelError):
                tell(client, RAISE)
        with urllib.request.urlopen(metrics_url, timeout=10) as response:
            figures = samples(response.read().decode())
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    labels = 'model="obedient",version="1"'
    assert figures[f'torchdeploy_requests_total{{{labels},status="OK"}}'] == 1
    assert figures[f'torchdeploy_requests_total{{{labels},status="UNKNOWN"}}'] == 1
    assert figures[f"torchdeploy_execution_seconds_count{{{labels}}}"] == 1
    assert figures['torchdeploy_interpreter_busy_seconds_total{pool="shared",interpreter="0"}'] > 0
    of_interpreter = '{pool="shared",interpreter="0"}'
    assert 2e7 < figures[f"torchdeploy_interpreter_python_bytes{of_interpreter}"] < 1e9
    waits = "torchdeploy_interpreter_lock_wait_seconds"
    assert 0 < figures[f"{waits}_sum{of_interpreter}"] < 10
    most = figures[waits + '_bucket{pool="shared",interpreter="0",le="1"}']
    assert 1 < most <= figures[f"{waits}_count{of_interpreter}"]
    assert figures['torchdeploy_interpreters{pool="shared"}'] == 1
    assert figures["process_resident_memory_bytes"] > 1e8
    (entry,) = map(json.loads, log.read_text().splitlines())
    assert entry["event"] == "request_failed"
    assert (entry["model"], entry["status"], entry["type"]) == (
        "obedient",
        "UNKNOWN",
        "ValueError",
    )
    assert "raise ValueError" in entry["traceback"]


def test_as_many_connections_are_taken_as_the_system_allows(archive: Path, tmp_path: Path) -> None:
    command = server_command(archive, interpreters=1, port=0)
    with (tmp_path / "log").open("w") as errors:
        shell = ["bash", "-c", 'ulimit -Sn 200 && exec "$@"', "bash", *command]
        with started(shell, errors) as (process, _):
            limits = Path(f"/proc/{process.pid}/limits").read_text()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
    match = re.search(r"Max open files +(\d+) +(\d+)", limits)
    assert match is not None
    assert match[1] == match[2] != "200"


def test_a_drain_ends_in_its_time_and_says_so(archive: Path, tmp_path: Path) -> None:
    command = server_command(archive, interpreters=1, port=0, drain_grace_s=0.5)
    log = tmp_path / "log"
    with (
        log.open("w") as errors,
        started(command, errors) as (process, lines),
        Client(found(r" on (\S+:\d+) with", lines)) as client,
        ThreadPoolExecutor(1) as other,
    ):
        endless = other.submit(tell, client, LOOP)
        time.sleep(0.5)  # Until it runs.
        begin = time.monotonic()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 1
        assert time.monotonic() - begin < 20
        with pytest.raises(StatusError):
            endless.result(10)
    assert "--drain-grace-s" in log.read_text()


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


def test_a_server_that_dies_is_started_again_and_clients_are_told(archive: Path) -> None:
    port = unused_port()
    command = [sys.executable, "-m", "torchdeploy_pkg.cli", "serve", str(archive), "--restart"]
    command += ["--interpreters", "1", "--port", str(port)]
    with (
        started(command, subprocess.PIPE) as (process, lines),
        Client(f"127.0.0.1:{port}") as client,
    ):
        assert tell(client, ANSWER) == ANSWER
        begin = time.monotonic()
        with pytest.raises(UnavailableError):
            tell(client, DIE)
        assert time.monotonic() - begin < 10
        client.wait_until_ready(timeout_s=60)
        assert tell(client, ANSWER) == ANSWER
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == (
            "torchdeploy: the server died (SIGKILL); it is started again\n"
        )
    assert sum("serving obedient" in line for line in lines) == 2


def test_a_server_that_never_served_is_not_started_again(tmp_path: Path) -> None:
    (tmp_path / "notes.pt").write_text("not a model")
    command = [sys.executable, "-m", "torchdeploy_pkg.cli", "serve", str(tmp_path / "notes.pt")]
    done = subprocess.run(
        [*command, "--restart", "--port", str(unused_port())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("torchdeploy: DATA_LOSS: ")
