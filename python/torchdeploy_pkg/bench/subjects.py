"""A loaded model, ready to be called: in this process, plainly or by interpreters, or served."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from threading import Barrier
from typing import TYPE_CHECKING, Protocol

from torchdeploy_pkg.archive import inspect_archive

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torchdeploy_pkg.bench.strategies import Strategy
    from torchdeploy_pkg.bench.values import Values
    from torchdeploy_pkg.manifest import Manifest

_START_TIMEOUT_S = 1800.0  # torch.compile takes minutes.
_MODEL = "model"
_ROUNDS_OF_CALLS = 4
_BARRIER_TIMEOUT_S = 600.0  # When a call of another thread has failed, or takes so long.


@dataclass(frozen=True, slots=True)
class Plan:
    """What a subject is.

    Attributes:
        archive: Of the engine that is to run it.
        folder: Of this subject alone, for what it writes.
        strategy: What runs it.
        replicas: Number of interpreters.
        intra_op_threads: Threads of torch's own in each call.
    """

    archive: Path
    folder: Path
    strategy: Strategy
    replicas: int
    intra_op_threads: int


class Subject(Protocol):
    """A model that is loaded and can be called.

    Attributes:
        process_id: Of the process that has the model in its memory.
        url: Of the server that has it; "" for none.
    """

    process_id: int
    url: str

    def caller(self, inputs: Values) -> Callable[[], Values]:
        """A function that calls the model, for one thread."""
        ...

    def call_each(self, inputs: Values) -> list[Values]:
        """Calls of every replica."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Plain:
    """The model in plain Python, as torch.package loads it, without any of our runtime."""

    url = ""

    def __init__(self, plan: Plan) -> None:
        # Before torch is imported: OpenMP gives each new thread this number, whatever
        # torch.set_num_threads() was told on another one, and two that spin ruin each other.
        os.environ["OMP_NUM_THREADS"] = str(plan.intra_op_threads)
        import torch
        from torch.package.package_importer import PackageImporter

        self.process_id = os.getpid()
        torch.set_num_threads(plan.intra_op_threads)
        pickle = manifest_of(plan.archive).entry
        self.importer = PackageImporter(str(plan.archive))
        self.entry = self.importer.load_pickle(pickle.package, pickle.resource)

    def caller(self, inputs: Values) -> Callable[[], Values]:
        """The entry with torch's tensors."""
        return partial(self.entry, **as_torch(inputs))

    def call_each(self, inputs: Values) -> list[Values]:
        """One call: there is one replica."""
        return [self.caller(inputs)()]

    def close(self) -> None:
        """Nothing is held."""


class InProcess:
    """The model in interpreters of this process, or on the engine without Python."""

    url = ""

    def __init__(self, plan: Plan) -> None:
        from torchdeploy_pkg.runtime import InterpreterManager

        manifest = manifest_of(plan.archive)
        if any(spec.datatype == "BF16" for spec in manifest.outputs):
            import torch  # noqa: F401 - numpy has no bfloat16, so its outputs must be torch's.
        self.process_id = os.getpid()
        self._plan = plan
        _compile_anew(plan)
        self._manager = InterpreterManager(
            plan.replicas, intra_op_threads=plan.intra_op_threads, on_demand=True
        )
        self._model = self._manager.load_package(plan.archive).load_entry()
        if plan.strategy.compiled:
            for slot in range(plan.replicas):
                with self._manager.acquire_session(slot) as session:
                    session.from_movable(self._model).configure(torch_compile={})

    def caller(self, inputs: Values) -> Callable[[], Values]:
        """The replicated object, which takes the first free interpreter."""
        return partial(self._model, **inputs)

    def call_each(self, inputs: Values) -> list[Values]:
        """A call in each interpreter; without Python, some at once."""
        if self._plan.strategy.engine != "eager":
            return _at_once(self, inputs, self._plan.replicas)
        answers = []
        for slot in range(self._plan.replicas):
            with self._manager.acquire_session(slot) as session:
                answers.append(session.from_movable(self._model)(**inputs).deref())
        return answers

    def close(self) -> None:
        """End the manager."""
        self._manager.close()


class Served:
    """The model on a server of its own, asked over gRPC on the loopback device."""

    def __init__(self, plan: Plan) -> None:
        from torchdeploy_pkg.server_process import Server

        _compile_anew(plan)
        models = plan.folder / "models"
        version = models / _MODEL / "1"
        version.mkdir(parents=True)
        (version / plan.archive.name).symlink_to(plan.archive)
        if plan.strategy.compiled:
            (models / _MODEL / "config.yaml").write_text("torch_compile: {}\n")
        self._replicas = plan.replicas
        self._server = Server(
            models,
            interpreters=plan.replicas,
            intra_op_threads=plan.intra_op_threads,
            start_timeout_s=_START_TIMEOUT_S,
        )
        self._server.start()
        assert self._server.process_id is not None
        self.process_id = self._server.process_id
        self.url = self._server.url

    def caller(self, inputs: Values) -> Callable[[], Values]:
        """A client of its own, which ends with the function."""
        return _asking(self.url, inputs)

    def call_each(self, inputs: Values) -> list[Values]:
        """Some calls at once: the server has no way to ask one replica, but has warmed up each."""
        return _at_once(self, inputs, self._replicas)

    def close(self) -> None:
        """End the server."""
        self._server.stop()


class Asked:
    """The model on a server that another process has: its client."""

    def __init__(self, url: str) -> None:
        self.process_id = os.getpid()
        self.url = url

    def caller(self, inputs: Values) -> Callable[[], Values]:
        """A client of its own, which ends with the function."""
        return _asking(self.url, inputs)

    def call_each(self, inputs: Values) -> list[Values]:
        """One call."""
        return [self.caller(inputs)()]

    def close(self) -> None:
        """Nothing is held."""


def _compile_anew(plan: Plan) -> None:
    """Let torch.compile find nothing that it has compiled before."""
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(plan.folder / "inductor")


def _asking(url: str, inputs: Values) -> Callable[[], Values]:
    from torchdeploy_pkg.client import Client

    return partial(Client(url).infer, _MODEL, inputs)


def as_torch(inputs: Values) -> Values:
    """Arrays as tensors that share their memory."""
    import numpy as np
    import torch

    return {
        name: torch.from_numpy(value) if isinstance(value, np.ndarray) else value
        for name, value in inputs.items()
    }


def _at_once(subject: Subject, inputs: Values, replicas: int) -> list[Values]:
    """As many calls at once as there are replicas, some times."""
    callers = [subject.caller(inputs) for _ in range(replicas)]
    together = Barrier(replicas)

    def call_together(call: Callable[[], Values]) -> list[Values]:
        answers = []
        for _ in range(_ROUNDS_OF_CALLS):
            together.wait(_BARRIER_TIMEOUT_S)
            answers.append(call())
        return answers

    with ThreadPoolExecutor(replicas) as threads:
        return [answer for answers in threads.map(call_together, callers) for answer in answers]


def manifest_of(archive: Path) -> Manifest:
    """The manifest, which every archive that is measured has."""
    manifest = inspect_archive(archive)
    assert manifest is not None, archive
    return manifest
