"""What is needed before anything is timed: requests, right answers, archives for each engine."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

from torchdeploy_pkg.bench.subjects import Plain, manifest_of
from torchdeploy_pkg.bench.values import Values, portable, rows_of
from torchdeploy_pkg.errors import PackagingWarning
from torchdeploy_pkg.exporter import ENTRY_PACKAGE
from torchdeploy_pkg.packager import package

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torchdeploy_pkg.bench.subjects import Plan


class Preparation:
    """The eager archive in plain Python."""

    def __init__(self, plan: Plan) -> None:
        self._plain = Plain(plan)
        self._archive = plan.archive
        pickle = manifest_of(plan.archive).example
        assert pickle is not None, plan.archive
        self._example: Values = self._plain.importer.load_pickle(pickle.package, pickle.resource)

    def requests(self, rows: Sequence[int]) -> dict[int, tuple[Values, Values]]:
        """For each number of rows, inputs and what plain Python answers.

        The rows are those of the example, again and again. A model whose requests cannot be
        joined is asked for its example as it is, whatever the rows.
        """
        one_size = manifest_of(self._archive).batch_dimension != 0
        found = {}
        for count in rows:
            inputs = {
                name: portable(value if one_size else rows_of(value, count))
                for name, value in self._example.items()
            }
            answer = self._plain.caller(inputs)()
            found[count] = (inputs, {name: portable(value) for name, value in answer.items()})
        return found

    def write(self, engine: str, path: Path) -> list[str]:
        """The same model for another engine; what torch and the packager warned of.

        Raises:
            PackagingError: The engine cannot run it.
        """
        served = self._plain.entry
        # The archive's own copy of the module: its leaves are of that one's class.
        fill = self._plain.importer.import_module(f"{ENTRY_PACKAGE}entry").fill
        args, kwargs = fill(served.args, self._example), fill(served.kwargs, self._example)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            package(
                served.target,
                path,
                name=manifest_of(self._archive).name,
                engine=engine,
                example_inputs=kwargs or tuple(args),
            )
        return [str(w.message) for w in caught if issubclass(w.category, PackagingWarning)]

    def close(self) -> None:
        """Nothing is held."""
