"""Package a model, serve it from two interpreters, and ask it: all in one file."""

import tempfile
from pathlib import Path

import torch
from torch import nn

from torchdeploy_pkg import Client, Server, package


class Classifier(nn.Module):
    """Any eager-mode model will do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Logits and the best class of each row."""
        logits = self.body(x)
        return {"logits": logits, "best": logits.argmax(-1)}


def main() -> None:
    """Check that the served numbers are those of plain Python."""
    model = Classifier().eval()
    x = torch.randn(2, 4)
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "classifier.pt"
        manifest = package(model, archive, example_inputs=x)
        for spec in (*manifest.inputs, *manifest.outputs):
            print(f"  {spec}")
        with Server(archive, interpreters=2) as server, Client(server.url) as client:
            print(f"serving {', '.join(server.models)} on {server.url}")
            answer = client.infer("classifier", {"x": x})
    with torch.no_grad():
        difference = (torch.from_numpy(answer["logits"]) - model(x)["logits"]).abs().max().item()
    print(f"best classes {answer['best'].tolist()}, difference to plain Python {difference:.1e}")
    if difference > 1e-6:
        raise SystemExit("the served numbers differ")


if __name__ == "__main__":
    main()
