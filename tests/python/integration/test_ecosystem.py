"""What models import: packages of the Python world, in two interpreters at once."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import ecosystem_models
import pytest
from torch.package.package_exporter import PackageExporter

from torchdeploy_pkg import InterpreterManager

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torchdeploy_pkg.runtime import Package

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Package]:
    """All models, packaged with plain torch.package."""
    path = tmp_path_factory.mktemp("ecosystem") / "models.pt"
    with PackageExporter(str(path)) as exporter:
        exporter.intern("ecosystem_models")
        exporter.extern("**")
        for model in ecosystem_models.MODELS:
            exporter.save_pickle("model", f"{model.__name__}.pkl", model)
    with InterpreterManager(2, intra_op_threads=1) as manager:
        yield manager.load_package(path)


# Of those who wrote the packages, about their own future.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", ecosystem_models.MODELS, ids=lambda model: model.__name__)
def test_package_works_in_two_interpreters_at_once(
    package: Package, model: Callable[[float], float]
) -> None:
    replicated = package.load_pickle("model", f"{model.__name__}.pkl")
    both_are_here = threading.Barrier(2)

    def call(_: int) -> list[float]:
        both_are_here.wait()
        return [replicated(2.0) for _ in range(2)]

    with ThreadPoolExecutor(2) as pool:
        answers = [answer for some in pool.map(call, range(2)) for answer in some]
    assert answers == [model(2.0)] * 4
