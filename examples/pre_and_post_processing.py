"""Text in, labels out: a handler runs before and after the model, in the interpreter."""

import tempfile
from pathlib import Path

import torch
from torch import nn

from torchdeploy_pkg import Client, Server, package

WORDS = ["good", "great", "nice", "bad", "awful", "poor"]


class Sentiment(nn.Module):
    """Counts of words in, a score between 0 and 1 out."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(len(WORDS), 1, bias=False)
        self.linear.weight.data = torch.tensor([[1.0, 2.0, 1.0, -1.0, -2.0, -1.0]])

    def forward(self, counts: torch.Tensor) -> torch.Tensor:
        """Score of each row."""
        return torch.sigmoid(self.linear(counts)).squeeze(-1)


class TextHandler:
    """Made once in each interpreter. Each step is optional."""

    def preprocess(self, inputs: dict[str, list[str]]) -> torch.Tensor:
        """What the model takes, from the inputs of a request by name."""
        rows = [text.lower().split() for text in inputs["text"]]
        return torch.tensor([[float(row.count(word)) for word in WORDS] for row in rows])

    def postprocess(self, scores: torch.Tensor) -> dict[str, object]:
        """The outputs by name: tensors, numbers or text."""
        return {"score": scores, "label": ["yes" if s > 0.5 else "no" for s in scores]}


def main() -> None:
    """Serve it, and ask it about three texts."""
    texts = ["a great and nice day", "an awful film", "good plot but poor poor end"]
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder) / "sentiment.pt"
        example = {"text": ["a good example"]}
        package(Sentiment().eval(), archive, handler=TextHandler, example_inputs=example)
        with Server(archive, interpreters=1) as server, Client(server.url) as client:
            answer = client.infer("sentiment", {"text": texts})
    for text, label, score in zip(texts, answer["label"], answer["score"], strict=True):
        print(f"{label.decode():>3} {score:.2f}  {text}")


if __name__ == "__main__":
    main()
