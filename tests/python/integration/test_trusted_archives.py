"""Archives that may be loaded: by their SHA-256, or by an ed25519 signature."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import tritonclient.grpc as triton
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from obedient_model import ANSWER, Obedient
from tritonclient.utils import InferenceServerException

from torchdeploy_pkg import Client, Server, package
from torchdeploy_pkg.errors import FailedPreconditionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torchdeploy_pkg.server_process import ServerOptions

pytestmark = pytest.mark.integration


@pytest.fixture
def models(tmp_path: Path) -> Path:
    archive = tmp_path / "models/obedient/1/model.pt"
    archive.parent.mkdir(parents=True)
    package(Obedient().eval(), archive, name="obedient", example_inputs=torch.tensor([ANSWER]))
    return tmp_path / "models"


def archive_of(models: Path) -> Path:
    return models / "obedient/1/model.pt"


def answer(server: Server) -> None:
    with Client(server.url) as client:
        client.infer("obedient", {"what": np.array([ANSWER])})


def flip_last_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def hashed(models: Path) -> ServerOptions:
    """As a user lists an archive, with coreutils."""
    sums = models.parent / "SHA256SUMS"
    command = ["sha256sum", str(archive_of(models))]
    sums.write_bytes(subprocess.run(command, check=True, capture_output=True).stdout)
    return {"interpreters": 1, "trusted_sha256": sums}


def signed(models: Path) -> ServerOptions:
    key = Ed25519PrivateKey.generate()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    keys = models.parent / "keys.pem"
    keys.write_bytes(key.public_key().public_bytes(serialization.Encoding.PEM, form))
    archive = archive_of(models)
    Path(f"{archive}.sig").write_bytes(key.sign(archive.read_bytes()))
    return {"interpreters": 1, "trusted_keys": keys}


@pytest.mark.parametrize("trusted", [hashed, signed])
def test_an_archive_that_is_trusted_is_served_and_another_is_not(
    models: Path,
    trusted: Callable[[Path], ServerOptions],
    capfd: pytest.CaptureFixture[str],
) -> None:
    options = trusted(models)
    with Server(models, **options) as server:
        answer(server)
    flip_last_byte(archive_of(models))
    with pytest.raises(FailedPreconditionError):
        Server(models, **options).start()
    assert f"{archive_of(models)}: The archive is not trusted: " in capfd.readouterr().err


def test_a_model_that_is_loaded_by_request_is_looked_at_too(models: Path) -> None:
    options: ServerOptions = {
        **hashed(models),
        "model_control": "explicit",
        "load_model": ["obedient"],
    }
    with (
        Server(models, **options) as server,
        triton.InferenceServerClient(server.url) as client,
    ):
        flip_last_byte(archive_of(models))
        digest = hashlib.sha256(archive_of(models).read_bytes()).hexdigest()
        with pytest.raises(InferenceServerException, match=digest):
            client.load_model("obedient")
        answer(server)  # By the version that there was.
