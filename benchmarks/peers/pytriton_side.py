"""Triton's own Python backend, in the server that nvidia-pytriton carries."""

from __future__ import annotations

import shutil
import sysconfig
from typing import TYPE_CHECKING

import tritonclient.grpc as triton
from environments import FOLDER, PEERS
from oip_client import OipClient
from side import BATCH_DELAY_MS, Deployment, Launch, environment_of

if TYPE_CHECKING:
    from pathlib import Path
    from subprocess import Popen

LOAD_TIMEOUT_S = 180
PYTHON = f"python{sysconfig.get_python_version()}"


class PytritonSide:
    """A process for each instance, behind Triton's gRPC endpoint.

    PyTriton's own way, a queue to one Python process, is another thing.
    """

    name = "pytriton"
    title = "Triton, Python backend"
    settings = (
        "the `tritonserver` of nvidia-pytriton 0.7.0 with a `model.py`: `instance_group` count = "
        "replicas, only its gRPC endpoint, no metrics, no log; Open Inference Protocol over gRPC"
    )
    environment = "pytriton"
    joins = True
    copies_weights = True
    loads_while_serving = True
    is_server = True

    def __init__(self) -> None:
        self._port = 0

    def launch(self, deployment: Deployment) -> Launch:
        """Serve a model repository."""
        return self._launch(deployment, "none")

    def launch_empty(self, deployment: Deployment) -> Launch:
        """The same with `--model-control-mode=explicit`."""
        return self._launch(deployment, "explicit")

    def is_ready(self) -> bool:
        """ServerReady."""
        with triton.InferenceServerClient(f"127.0.0.1:{self._port}") as client:
            ready: bool = client.is_server_ready()
        return ready

    def load_model(self, deployment: Deployment) -> None:
        """RepositoryModelLoad."""
        with triton.InferenceServerClient(f"127.0.0.1:{self._port}") as client:
            client.load_model(deployment.workload.name, client_timeout=LOAD_TIMEOUT_S)

    def _launch(self, deployment: Deployment, control: str) -> Launch:
        packages = PEERS / self.name / "lib" / PYTHON / "site-packages"
        server = packages / "pytriton" / "tritonserver"
        repository = _write_repository(deployment)
        backends = _write_backends(deployment, server)
        (self._port,) = (port,) = deployment.ports.free(1)
        variables = environment_of(self.name, deployment, port)
        # The backend's Python is embedded: its libpython shall be that of all sides.
        libraries = (sysconfig.get_config_var("LIBDIR"), packages / "nvidia_pytriton.libs")
        variables["LD_LIBRARY_PATH"] = ":".join(map(str, libraries))
        command = [
            server / "bin" / "tritonserver",
            f"--model-repository={repository}",
            f"--backend-directory={backends}",
            f"--model-control-mode={control}",
            f"--grpc-port={port}",
            "--grpc-address=127.0.0.1",
            "--allow-http=false",
            "--allow-metrics=false",
            "--log-info=false",
            "--disable-auto-complete-config",  # It would start a Python only to ask for it.
        ]

        def connect(_: Popen[str]) -> OipClient:
            text_rank = 2 if deployment.is_joined else 1
            return OipClient(port, deployment.workload, deployment.folder, text_rank)

        return Launch(command, variables, connect)


def _write_backends(deployment: Deployment, server: Path) -> Path:
    """As PyTriton does: the backend, and beside it the program for this version of Python."""
    backends = deployment.folder / "backends"
    shutil.copytree(server / "backends" / "python", backends / "python", dirs_exist_ok=True)
    version = sysconfig.get_python_version()
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, backends / "python")
    return backends


def _write_repository(deployment: Deployment) -> Path:
    repository = deployment.folder / "repository"
    model = repository / deployment.workload.name
    (model / "1").mkdir(parents=True, exist_ok=True)
    shutil.copy(FOLDER / "servers" / "triton_model.py", model / "1" / "model.py")
    (model / "config.pbtxt").write_text(_config(deployment))
    return repository


def _config(deployment: Deployment) -> str:
    workload = deployment.workload
    row = list(workload.row_shape) or ([1] if deployment.is_joined else [])
    shape, result = (row, [-1]) if deployment.is_joined else ([-1, *row], [-1, -1])
    datatype = "TYPE_STRING" if workload.is_text else "TYPE_FP32"
    lines = [
        f'name: "{workload.name}"',
        'backend: "python"',
        f"max_batch_size: {deployment.max_batch if deployment.is_joined else 0}",
        f'input [{{ name: "{workload.input}" data_type: {datatype} dims: {shape} }}]',
        f'output [{{ name: "{workload.output}" data_type: TYPE_FP32 dims: {result} }}]',
        f"instance_group [{{ count: {deployment.replicas} kind: KIND_CPU }}]",
    ]
    if deployment.is_joined:
        delay_us = round(BATCH_DELAY_MS * 1000)
        lines.append(f"dynamic_batching {{ max_queue_delay_microseconds: {delay_us} }}")
    return "\n".join(lines) + "\n"
