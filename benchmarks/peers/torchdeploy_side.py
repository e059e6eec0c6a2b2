"""This server."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import torch
import tritonclient.grpc as triton
from models import write_sentence_embedding
from oip_client import OipClient
from side import BATCH_DELAY_MS, INTRA_OP_THREADS, Deployment, Launch
from workloads import model_from_file, plain_model

from torchdeploy_pkg import package
from torchdeploy_pkg.server_process import server_command

if TYPE_CHECKING:
    from subprocess import Popen

LOAD_TIMEOUT_S = 180


class TorchdeploySide:
    """An interpreter for each replica, all in one process."""

    name = "torchdeploy"
    title = "this server"
    settings = (
        f"`--interpreters` = replicas, `--intra-op-threads {INTRA_OP_THREADS}`, the rest by "
        "default; Open Inference Protocol over gRPC"
    )
    environment = None
    joins = True
    copies_weights = False
    loads_while_serving = True
    is_server = True

    def __init__(self) -> None:
        self._port = 0

    def launch(self, deployment: Deployment) -> Launch:
        """`torchdeploy serve`, of a repository with the packaged model."""
        return self._launch(deployment, "none")

    def launch_empty(self, deployment: Deployment) -> Launch:
        """The same with `--model-control explicit`."""
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
        repository = deployment.folder / "repository"
        model = repository / deployment.workload.name
        (model / "1").mkdir(parents=True, exist_ok=True)
        _write_archive(deployment, str(model / "1" / "model.pt"))
        if deployment.is_joined:
            (model / "config.yaml").write_text(
                f"batching:\n  max_size: {deployment.max_batch}\n"
                f"  max_delay_us: {BATCH_DELAY_MS * 1000:.0f}\n"
            )
        (self._port,) = (port,) = deployment.ports.free(1)
        command = server_command(
            repository,
            port=port,
            interpreters=deployment.replicas,
            intra_op_threads=INTRA_OP_THREADS,
            model_control=control,
        )

        def connect(_: Popen[str]) -> OipClient:
            return OipClient(port, deployment.workload, deployment.folder)

        return Launch(command, dict(os.environ), connect)


def _write_archive(deployment: Deployment, path: str) -> None:
    workload = deployment.workload
    if workload.is_text:
        write_sentence_embedding(path)
        return
    model = (
        model_from_file(workload, deployment.weights)
        if deployment.weights
        else plain_model(workload)
    )
    package(model, path, example_inputs=torch.ones(1, *workload.row_shape))
