"""A model that uses an operator of its own, defined with torch.library in its own code."""

import tempfile
from pathlib import Path

import numpy as np
import torch
from torch import nn

from torchdeploy_pkg import Client, Server, package


@torch.library.custom_op("example::soft_clip", mutates_args=())
def soft_clip(x: torch.Tensor, limit: float) -> torch.Tensor:
    """Like x near zero, never beyond the limit. numpy stands for any foreign code."""
    return torch.from_numpy(limit * np.tanh(x.numpy() / limit))


@soft_clip.register_fake
def _(x: torch.Tensor, limit: float) -> torch.Tensor:
    return torch.empty_like(x)


class Clipped(nn.Module):
    """Calls the operator as any other."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Rows between -1 and 1."""
        y: torch.Tensor = soft_clip(self.linear(x), 1.0)
        return y


def main() -> None:
    """Check that the operator works in the interpreters."""
    model = Clipped().eval()
    x = 10 * torch.randn(4, 3)
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "clipped.pt"
        package(model, archive, example_inputs=x)
        with Server(archive, interpreters=2) as server, Client(server.url) as client:
            served = client.infer("clipped", {"x": x})["output"]
    with torch.no_grad():
        expected = model(x).numpy()
    print(f"largest value {abs(served).max():.3f}")
    print(f"difference to plain Python {abs(served - expected).max():.1e}")


if __name__ == "__main__":
    main()
