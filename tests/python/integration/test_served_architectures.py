"""Each architecture, served, gives plain Python's numbers bit for bit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from architectures import ARCHITECTURES, Architecture
from test_architectures import call

from torchdeploy_pkg import Client, Server, package
from torchdeploy_pkg.call_template import template_of_example

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of one server that has all of them.

    One interpreter, and no call before the first request, since some models count their calls.
    """
    repository = tmp_path_factory.mktemp("repository")
    for architecture in ARCHITECTURES:
        model, example, _ = architecture.build()
        folder = repository / architecture.name / "1"
        folder.mkdir(parents=True)
        package(model, folder / "model.pt", name=architecture.name, example_inputs=example)
        (folder.parent / "config.yaml").write_text("warmup_calls: 0")
    with (
        Server(repository, interpreters=1, intra_op_threads=1, start_timeout_s=300) as server,
        Client(server.url) as running,
    ):
        yield running


@pytest.fixture(autouse=True)
def one_intra_op_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def as_served(value: Any) -> np.ndarray[Any, Any]:
    """A part of a plain result as the client gives it."""
    if isinstance(value, list):
        return np.array(value, dtype=np.object_)
    if value.dtype == torch.bfloat16:
        value = value.float()
    return np.asarray(value.contiguous().numpy())


def equal(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> bool:
    if a.dtype != b.dtype or a.shape != b.shape:
        return False
    # Bytes, so that a NaN equals itself and -0.0 does not equal 0.0.
    return a.tolist() == b.tolist() if a.dtype == np.object_ else a.tobytes() == b.tobytes()


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: a.name)
def test_served_answers_equal_the_models_bit_for_bit(
    architecture: Architecture, client: Client
) -> None:
    model, example, further = architecture.build()
    for inputs in (example, *further):
        wire = template_of_example(model, inputs).values
        found = list(client.infer(architecture.name, wire).values())
        expected = [as_served(leaf) for leaf in call(model, inputs)]
        assert len(found) == len(expected)
        assert all(equal(a, b) for a, b in zip(found, expected, strict=True)), (found, expected)


def test_there_are_at_least_forty_of_them() -> None:
    assert len({architecture.name for architecture in ARCHITECTURES}) >= 40
