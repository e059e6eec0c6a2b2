"""TorchServe."""

from __future__ import annotations

import subprocess
import urllib.parse
import urllib.request
from http import HTTPStatus
from typing import TYPE_CHECKING

from environments import FOLDER, python_of
from http_client import HttpClient
from side import BATCH_DELAY_MS, Deployment, Launch, environment_of

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import Popen

ARCHIVE_TIMEOUT_S = 120
LOAD_TIMEOUT_S = 180
PING_TIMEOUT_S = 5
PORTS = ("inference", "management", "metrics", "grpc_inference", "grpc_management")


class TorchServeSide:
    """A process for each worker, behind a server in Java."""

    name = "torchserve"
    title = "TorchServe"
    settings = (
        "torchserve 0.12.0 on Java 17: workers = replicas, token authorization, snapshots and "
        "system metrics off, log level WARN, in its workers, too; a handler that takes and gives "
        "bytes; HTTP `/predictions`, as its Open Inference Protocol over gRPC reads no raw "
        "contents; the archive is a folder, so nothing is unpacked"
    )
    environment = "torchserve"
    joins = True
    copies_weights = True
    loads_while_serving = True
    is_server = True

    def __init__(self) -> None:
        self._inference = self._management = ""

    def launch(self, deployment: Deployment) -> Launch:
        """`torchserve --foreground`, of a model store."""
        return self._launch(deployment, deployment.workload.name)

    def launch_empty(self, deployment: Deployment) -> Launch:
        """The same, without its models."""
        return self._launch(deployment, None)

    def is_ready(self) -> bool:
        """GET /ping."""
        with urllib.request.urlopen(f"{self._inference}/ping", timeout=PING_TIMEOUT_S) as answer:
            return bool(answer.status == HTTPStatus.OK)

    def load_model(self, deployment: Deployment) -> None:
        """Register the model; its workers start when the answer has been sent."""
        query = urllib.parse.urlencode(
            {
                "url": deployment.workload.name,
                "initial_workers": deployment.replicas,
                "synchronous": "false",
            }
        )
        post = urllib.request.Request(f"{self._management}/models?{query}", method="POST")
        urllib.request.urlopen(post, timeout=LOAD_TIMEOUT_S).close()

    def _launch(self, deployment: Deployment, model: str | None) -> Launch:
        *ports, worker_port = deployment.ports.free(len(PORTS) + 1)
        addresses = dict(zip(PORTS, ports, strict=True))
        self._management = f"http://127.0.0.1:{addresses['management']}"
        self._inference = f"http://127.0.0.1:{addresses['inference']}"
        variables = environment_of(self.name, deployment, addresses["inference"])
        store = _write_store(deployment, variables)
        config = deployment.folder / "config.properties"
        config.write_text(_properties(addresses, worker_port))
        log = deployment.folder / "log4j2.xml"
        log.write_text(LOG4J)
        command = [
            python_of(self.name).parent / "torchserve",
            "--start",
            "--foreground",
            "--disable-token-auth",
            "--ncs",
            *("--model-store", store),
            *("--ts-config", config),
            *("--log-config", log),
            *(("--models", model) if model else ("--enable-model-api",)),
        ]
        url = f"{self._inference}/predictions/{deployment.workload.name}"

        def connect(_: Popen[str]) -> HttpClient:
            return HttpClient(url, deployment.workload, deployment.folder)

        variables["TEMP"] = variables["TMPDIR"] = str(deployment.folder)
        variables["LOG_LOCATION"] = variables["METRICS_LOCATION"] = str(deployment.folder)
        return Launch(command, variables, connect)


def _write_store(deployment: Deployment, variables: dict[str, str]) -> Path:
    store = deployment.folder / "store"
    store.mkdir(exist_ok=True)
    config = deployment.folder / "model-config.yaml"
    config.write_text(
        f"minWorkers: {deployment.replicas}\nmaxWorkers: {deployment.replicas}\n"
        f"batchSize: {deployment.max_batch}\nmaxBatchDelay: {BATCH_DELAY_MS:.0f}\n"
    )
    command = [
        python_of(TorchServeSide.name).parent / "torch-model-archiver",
        "--force",
        *("--model-name", deployment.workload.name),
        *("--version", "1.0"),
        *("--handler", FOLDER / "servers" / "torchserve_handler.py"),
        *("--export-path", store),
        *("--config-file", config),
        *("--archive-format", "no-archive"),
    ]
    subprocess.run(list(map(str, command)), check=True, env=variables, timeout=ARCHIVE_TIMEOUT_S)
    return store


def _properties(addresses: dict[str, int], worker_port: int) -> str:
    lines = [
        f"{name}_address=http://127.0.0.1:{addresses[name]}"
        for name in ("inference", "management", "metrics")
    ]
    lines += [f"{name}_port={addresses[name]}" for name in ("grpc_inference", "grpc_management")]
    lines += [
        f"initial_worker_port={worker_port}",
        "disable_system_metrics=true",
        "enable_envvars_config=false",
    ]
    return "\n".join(lines) + "\n"


LOG4J = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration>
  <Appenders>
    <Console name="console"><PatternLayout pattern="%d %p %c %m%n"/></Console>
  </Appenders>
  <Loggers>
    <Root level="warn"><AppenderRef ref="console"/></Root>
    <Logger name="ACCESS_LOG" level="off"/>
    <Logger name="TS_METRICS" level="off"/>
    <Logger name="MODEL_METRICS" level="off"/>
    <Logger name="MODEL_LOG" level="warn"/>
  </Loggers>
</Configuration>
"""
