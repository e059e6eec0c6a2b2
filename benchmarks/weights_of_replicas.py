"""Four replicas of a large model: memory, and time until they are ready."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from every_interpreter import open_and_call
from figures import BUILD, Figure, command_of, median_of, run_in_python
from smaps import pss_mb

from torchdeploy_pkg import InterpreterManager

if TYPE_CHECKING:
    from torchdeploy_pkg.session import InterpreterSession, Obj

REPLICAS = 4
WRITE = "import sys, models; models.write_wide_layers(sys.argv[1], int(sys.argv[2]))"


class Loaders:
    """Two ways to have a replica of an archive in each interpreter."""

    def __init__(self, manager: InterpreterManager, archive: Path) -> None:
        self.manager = manager
        self.archive = archive
        self.x = np.ones((1, 8192), np.float32)
        self.pss_mb = 0.0

    def mapped(self) -> tuple[float, float]:
        """As it is meant to be; times of `open_and_call`."""
        model = self.manager.load_package(self.archive).load_pickle()

        def opener(_: int) -> tuple[InterpreterSession, Obj]:
            session = model.acquire_session()
            return session, session.self

        return open_and_call(self.manager, opener, self.x, self._note_pss)

    def read(self) -> tuple[float, float]:
        """Each interpreter reads the archive by itself, as plain torch.package does it."""

        def opener(slot: int) -> tuple[InterpreterSession, Obj]:
            session = self.manager.acquire_session(slot)
            importer = session.global_("torch.package", "PackageImporter")(str(self.archive))
            return session, importer.load_pickle("model", "model.pkl")

        return open_and_call(self.manager, opener, self.x, lambda: None)

    def _note_pss(self) -> None:
        self.pss_mb = pss_mb()


def figures_of(loaders: Loaders, rounds: int) -> list[Figure]:
    """Load both ways in turn."""
    empty_mb = pss_mb()
    weights_mb = loaders.archive.stat().st_size / 2**20
    shares: list[float] = []
    ready, called = [], []
    for _ in range(rounds):
        mapped = loaders.mapped()
        # Before `read`, whose freed memory may stay with the allocator.
        if not shares:
            shares.append(loaders.pss_mb / (weights_mb + empty_mb))
        read = loaders.read()
        ready.append(mapped[0] / read[0])
        called.append(mapped[1] / read[1])
    size = f"{weights_mb / 1000:.2g} GB of weights"
    return [
        median_of(
            "PSS with 4 replicas, over weights and 4 empty interpreters",
            shares,
            target=1.02,
            note=size,
        ),
        median_of(
            "time until 4 replicas are ready, over that of reading",
            ready,
            target=0.2,
            note=f"torch.package's PackageImporter, {size}",
        ),
        median_of("the same until each has answered once", called, note=size),
    ]


def measure(quick: bool) -> list[Figure]:
    """Four replicas of a large model: memory, and time until they are ready."""
    rounds, megabytes = (2, 128) if quick else (5, 1900)
    BUILD.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=BUILD) as folder:
        archive = Path(folder) / "wide.pt"
        run_in_python(WRITE, archive, megabytes)
        os.sync()  # Pages that are not yet written count as this process's own.
        with InterpreterManager(REPLICAS, intra_op_threads=1) as manager:
            return figures_of(Loaders(manager, archive), rounds)


if __name__ == "__main__":
    command_of(measure)()
