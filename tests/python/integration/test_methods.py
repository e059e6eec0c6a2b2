"""Methods of a model, from its package to a real server's answers."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from torchdeploy_pkg import Client, Manifest, PackagingError, Server, TensorSpec, package
from torchdeploy_pkg.errors import InvalidArgumentError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.integration

X = np.arange(8, dtype=np.float32).reshape(2, 4)


class Autoencoder(nn.Module):
    """Two halves, which can be called apart."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.down = nn.Linear(4, 2)
        self.up = nn.Linear(2, 4)

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        code: torch.Tensor = self.down(x)
        return code

    def decode(self, code: torch.Tensor, scale: float) -> dict[str, torch.Tensor]:
        return {"x": self.up(code) * scale}

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        back: torch.Tensor = self.up(self.down(x))
        return back


def write(path: Path) -> tuple[Autoencoder, Manifest]:
    model = Autoencoder().eval()
    methods = {
        "encode": torch.ones(1, 4),
        "decode": {"code": torch.ones(1, 2), "scale": 1.0},
    }
    return model, package(model, path, example_inputs=torch.ones(1, 4), methods=methods)


def test_each_method_is_served_with_its_own_inputs_and_outputs(tmp_path: Path) -> None:
    model, manifest = write(tmp_path / "auto.pt")
    assert manifest.methods["encode"].inputs == (TensorSpec("x", "FP32", (-1, 4)),)
    assert [spec.name for spec in manifest.methods["decode"].outputs] == ["x"]
    x = torch.from_numpy(X)
    with (
        torch.no_grad(),
        Server(tmp_path / "auto.pt", interpreters=2) as server,
        Client(server.url) as client,
    ):
        whole = client.infer("auto", {"x": X})["output"]
        code = client.infer("auto", {"x": X}, method="encode")["output"]
        scale = np.array([2.0])
        back = client.infer("auto", {"code": code, "scale": scale}, method="decode")["x"]
        assert np.array_equal(whole, model(x).numpy())
        assert np.array_equal(code, model.encode(x).numpy())
        assert np.array_equal(back, 2 * whole)
        with pytest.raises(InvalidArgumentError, match="decode, encode"):
            client.infer("auto", {"x": X}, method="train")
        with pytest.raises(InvalidArgumentError, match="'code' is missing"):
            client.infer("auto", {"x": X}, method="decode")


def test_the_weights_of_methods_are_in_the_archive_once(tmp_path: Path) -> None:
    model = nn.Linear(512, 512).eval()
    package(model, tmp_path / "plain.pt", example_inputs=torch.ones(1, 512))
    package(
        model,
        tmp_path / "methods.pt",
        example_inputs=torch.ones(1, 512),
        methods={"forward": torch.ones(1, 512)},
    )
    more = (tmp_path / "methods.pt").stat().st_size - (tmp_path / "plain.pt").stat().st_size
    assert more < 10_000


def test_the_command_line_prints_and_asks_for_methods(tmp_path: Path) -> None:
    write(tmp_path / "auto.pt")
    command = [sys.executable, "-m", "torchdeploy_pkg.cli"]
    shown = subprocess.run(
        [*command, "inspect", str(tmp_path / "auto.pt")], capture_output=True, text=True, check=True
    ).stdout
    assert "encode: input" in shown
    with Server(tmp_path / "auto.pt", interpreters=1) as server:
        asked = [*command, "infer", server.url, "auto", "--method", "encode", "--json"]
        asked += ["--input", "x=[[0, 0, 0, 0]]"]
        answer = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    assert answer.startswith('{"output": [[')


def test_what_is_no_method_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match="no method of Autoencoder"):
        package(
            Autoencoder().eval(),
            tmp_path / "auto.pt",
            example_inputs=torch.ones(1, 4),
            methods={"absent": torch.ones(1, 4)},
        )
