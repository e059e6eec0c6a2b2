"""32 clients of a model whose requests are joined, and of the same one whose are not, in turns."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from figures import Figure, command_of, median_of
from load import load, write_request
from models import write_matrix_products, write_sentence_embedding

from torchdeploy_pkg import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CLIENTS = 32
CONFIG = f"batching:\n  max_size: {CLIENTS}\n"
TEXT = (
    "Interpreters share code and weights but not locks so that two threads which call one model "
    "in two of them do not wait for each other and a server answers as many requests as its "
    "processor has cores while all of them still read the same copy of its parameters"
)


@dataclass(frozen=True)
class Case:
    """A model, what it is asked for, and what joining must gain."""

    measure: str
    write: Callable[[Path], None]
    inputs: Sequence[dict[str, Any]]  # One row each, sent in turn.
    target: float


# A variant with token tensors, which the server pads, belongs here.
CASES = {
    "matrix_products": Case(
        "joined over single, matrix products",
        write_matrix_products,
        [{"input": np.ones((1, 2048), np.float32)}],
        3,
    ),
    "sentence_embedding": Case(
        "joined over single, sentences of 4 to 32 words",
        write_sentence_embedding,
        [{"text": [" ".join(TEXT.split()[:words])]} for words in range(4, 33, 4)],
        1.5,
    ),
}


def write_repository(folder: Path) -> None:
    """Each model twice; NAME_joined with batches."""
    for name, case in CASES.items():
        for served in (name, f"{name}_joined"):
            (folder / served / "1").mkdir(parents=True)
        archive = folder / name / "1" / "model.pt"
        case.write(archive)
        (folder / f"{name}_joined" / "1" / "model.pt").hardlink_to(archive)
        (folder / f"{name}_joined" / "config.yaml").write_text(CONFIG)


def requests_per_second(url: str, folder: Path, model: str, case: Case, seconds: float) -> float:
    """What all clients get done together."""
    requests = [
        write_request(folder / f"{model}_{i}", model, inputs)
        for i, inputs in enumerate(case.inputs)
    ]
    return load(url, requests, concurrent=CLIENTS, channels=4, seconds=seconds).requests_per_second


def measure(quick: bool) -> list[Figure]:
    """32 clients of a model whose requests are joined, and of the same one whose are not."""
    rounds, seconds = (2, 1.0) if quick else (7, 5.0)
    figures = []
    with tempfile.TemporaryDirectory() as models, tempfile.TemporaryDirectory() as requests:
        write_repository(Path(models))
        with Server(models) as server:
            for name, case in CASES.items():
                single, joined = [], []
                for _ in range(rounds):
                    for model, rates in ((name, single), (f"{name}_joined", joined)):
                        rates.append(
                            requests_per_second(server.url, Path(requests), model, case, seconds)
                        )
                gains = [b / a for a, b in zip(single, joined, strict=True)]
                figures += [
                    median_of(case.measure, gains, "x", case.target, at_least=True),
                    median_of("single", single, "requests/s"),
                    median_of("joined", joined, "requests/s"),
                ]
    return figures


if __name__ == "__main__":
    command_of(measure)()
