"""`make soak`, the server's part: mixed load while models come, go and are replaced.

Clients of every kind ask one server: in order, on streams, giving up, killed in the middle. What
a request is answered with tells whose answer it is. At the end the server must have counted as
many answers as its clients have got, its memory must be what it was when it was warm, and a
drain under load must lose nothing.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import queue
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click
import numpy as np
import torch
import tritonclient.grpc as triton
from rich.console import Console
from smaps import pss_mb
from torch import nn
from tritonclient.utils import InferenceServerException

from torchdeploy_pkg import Server, package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Memory is compared from then on, when the most interpreters have been started.
WARM_SHARE = 0.3  # Of the time.
WARM_CHANGES = 10
MOST_GROWTH_MB = 20
INTERPRETER_MB = 160  # At most, docs/benchmarks.md.
# Two that are shared; of a model's own two that serve, two that take their place, and as many that
# end: a load does not wait for those.
MOST_INTERPRETERS = 10
STREAMED = 16  # Requests on one stream.
LONGEST_ANSWER_S = 60
KILLED_AFTER_S = 1.5
SLOW_S = 0.05

# Answers of a model that is not there, or not at that moment.
ABSENT = ("StatusCode.NOT_FOUND",)
GIVEN_UP = ("StatusCode.CANCELLED", "StatusCode.DEADLINE_EXCEEDED")

console = Console(highlight=False)


class Plus(nn.Module):
    """Adds a number; sleeps before if it is a slow one."""

    def __init__(self, number: float, sleep_s: float = 0) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.tensor(number), requires_grad=False)
        self.weights = nn.Parameter(torch.ones(250_000), requires_grad=False)  # 1 MB.
        self.sleep_s = sleep_s

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Any shape, FP64."""
        if self.sleep_s:
            time.sleep(self.sleep_s)
        return x + self.number


class Counting(nn.Module):
    """Yields x, x + 1, x + 2."""

    def forward(self, x: torch.Tensor) -> Iterator[torch.Tensor]:
        """Any shape, FP64."""
        for number in range(3):
            yield x + number


@dataclass
class Tally:
    """What one kind of client has seen, and by whom it was answered."""

    outcomes: Counter[str] = field(default_factory=Counter)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, outcome: str, count: int = 1) -> None:
        """Count an outcome; from any thread."""
        with self.lock:
            self.outcomes[outcome] += count


@dataclass(frozen=True)
class Memory:
    """A server's, and how many interpreters it has ever needed at once."""

    mb: float
    interpreters: int

    @staticmethod
    def of(server: Server) -> Memory:
        """Now. Each interpreter maps a libpython of its own."""
        process = server.process_id or "self"
        maps = Path(f"/proc/{process}/maps").read_text().splitlines()
        libraries = {line.split()[-1] for line in maps if "/libpython" in line}
        return Memory(pss_mb(process), len(libraries))

    def mb_with(self, interpreters: int) -> float:
        """What it would be with so many: one that is not needed any more stays for the next."""
        return self.mb + INTERPRETER_MB * (interpreters - self.interpreters)

    def __str__(self) -> str:
        return f"{self.mb:.0f} MB, {self.interpreters} interpreters"


def fail(message: str) -> NoReturn:
    """The server has done what it should not."""
    raise AssertionError(message)


def tensor(number: float) -> list[triton.InferInput]:
    """The input of every model here."""
    value = triton.InferInput("x", [1], "FP64")
    value.set_data_from_numpy(np.array([float(number)]))
    return [value]


def number_of(result: triton.InferResult) -> float:
    """The output of every model here."""
    return float(result.as_numpy(result.get_response().outputs[0].name)[0])


class Load:
    """Clients of all kinds, each on threads of its own, until `stop` is set."""

    def __init__(self, url: str, models: Path) -> None:
        self.url = url
        self.models = models
        self.stop = threading.Event()
        self.tallies: dict[str, Tally] = {}
        self.failures: queue.Queue[BaseException] = queue.Queue()
        self._threads: list[threading.Thread] = []
        self._numbers = itertools.count()

    def start(self, kinds: dict[str, tuple[Callable[[Tally], None], int]]) -> None:
        """Begin as many clients of each kind as it says."""
        for name, (work, count) in kinds.items():
            tally = self.tallies[name] = Tally()
            for _ in range(count):
                thread = threading.Thread(target=self._run, args=(work, tally), name=name)
                thread.start()
                self._threads.append(thread)

    def end(self) -> None:
        """Stop all clients, and raise what one of them has found."""
        self.stop.set()
        for thread in self._threads:
            thread.join(LONGEST_ANSWER_S + 30)
            if thread.is_alive():
                fail(f"a client of kind {thread.name} was never answered")
        if not self.failures.empty():
            raise self.failures.get()

    def _run(self, work: Callable[[Tally], None], tally: Tally) -> None:
        try:
            while not self.stop.is_set():
                work(tally)
        except BaseException as error:  # noqa: BLE001, raised by end().
            self.failures.put(error)
            self.stop.set()

    def _ask(
        self, client: triton.InferenceServerClient, model: str, answers: tuple[float, ...]
    ) -> str:
        """The outcome of one request, whose answer is its number plus one of `answers`."""
        number = float(next(self._numbers))
        try:
            result = client.infer(model, tensor(number), client_timeout=LONGEST_ANSWER_S)
        except InferenceServerException as error:
            return str(error.status())
        if number_of(result) - number not in answers:
            fail(f"{model} answered {number_of(result)} to {number}")
        return "OK"

    def _ask_always(self, tally: Tally, model: str, answers: tuple[float, ...]) -> None:
        """One request after the other, each of which must be answered."""
        with triton.InferenceServerClient(self.url) as client:
            while not self.stop.is_set():
                outcome = self._ask(client, model, answers)
                if outcome != "OK":
                    fail(f"{model} answered {outcome}")
                tally.add(outcome)

    def steady(self, tally: Tally) -> None:
        """Requests to a model that is always there."""
        self._ask_always(tally, "steady", (1,))

    def swapped(self, tally: Tally) -> None:
        """The same to a model that is replaced all the time."""
        self._ask_always(tally, "swapped", (10, 20))

    def scaled(self, tally: Tally) -> None:
        """The same to a model whose interpreters are more or fewer all the time."""
        self._ask_always(tally, "scaled", (1,))

    def passing(self, tally: Tally) -> None:
        """The same to a model that comes and goes."""
        with triton.InferenceServerClient(self.url) as client:
            while not self.stop.is_set():
                outcome = self._ask(client, "passing", (100,))
                if outcome not in ("OK", *ABSENT):
                    fail(f"passing answered {outcome}")
                tally.add(outcome)
                time.sleep(0.002 if outcome in ABSENT else 0)

    def streams(self, tally: Tally) -> None:
        """Many requests on one stream, each answered once."""
        answers: queue.Queue[tuple[triton.InferResult | None, Exception | None]] = queue.Queue()
        begin = next(self._numbers)
        with triton.InferenceServerClient(self.url) as client:
            client.start_stream(lambda result, error: answers.put((result, error)))
            for i in range(STREAMED):
                client.async_stream_infer("streamed", tensor(begin + i), request_id=str(i))
            seen = set()
            for _ in range(STREAMED):
                result, error = answers.get(timeout=LONGEST_ANSWER_S)
                if result is None:
                    fail(f"a stream answered {error}")
                request = int(result.get_response().id)
                if request in seen or number_of(result) != begin + request + 1000:
                    fail(f"request {request} of a stream got {number_of(result)}")
                seen.add(request)
            client.stop_stream()
            if not answers.empty():
                fail("a stream answered more often than it was asked")
        tally.add("OK", STREAMED)

    def yielding(self, tally: Tally) -> None:
        """A model that yields, read to its end, or left after the first."""
        answers: queue.Queue[tuple[triton.InferResult | None, Exception | None]] = queue.Queue()
        number = float(next(self._numbers))
        leaves = random.random() < 0.3
        with triton.InferenceServerClient(self.url) as client:
            client.start_stream(lambda result, error: answers.put((result, error)))
            client.async_stream_infer("yielding", tensor(number))
            for i in range(1 if leaves else 3):
                result, error = answers.get(timeout=LONGEST_ANSWER_S)
                if result is None or number_of(result) != number + i:
                    fail(f"item {i} of {number} is {result and number_of(result)}, {error}")
            client.stop_stream(cancel_requests=leaves)
        tally.add("left" if leaves else "OK")

    def cancelling(self, tally: Tally) -> None:
        """Requests that their client gives up, sometimes too late."""
        with triton.InferenceServerClient(self.url) as client:
            while not self.stop.is_set():
                done: queue.Queue[str] = queue.Queue()
                call = client.async_infer("slow", tensor(0), partial(put_outcome, done))
                time.sleep(random.uniform(0, 2 * SLOW_S))
                call.cancel()
                outcome = done.get(timeout=LONGEST_ANSWER_S)
                if outcome not in ("OK", *GIVEN_UP):
                    fail(f"a cancelled request answered {outcome}")
                tally.add(outcome)

    def killed(self, tally: Tally) -> None:
        """Processes that ask and are killed in the middle."""
        command = [sys.executable, __file__, "--as-client-of", self.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()  # It has been answered once.
            self.stop.wait(random.uniform(0.1, KILLED_AFTER_S))
            process.kill()
        tally.add("killed")

    def control(self, tally: Tally) -> None:
        """Replaces one model, loads and unloads another, and asks for one that cannot be loaded."""
        with triton.InferenceServerClient(self.url) as client:
            for number, interpreters in ((10, 1), (20, 2)):
                put(self.models, "swapped", Path(self.models.parent / f"plus-{number}.pt"))
                client.load_model("swapped")
                client.load_model("passing")
                with contextlib.suppress(InferenceServerException):
                    client.load_model("broken")
                    fail("a broken archive was loaded")
                client.unload_model("passing")
                client.load_model("scaled", config=f'{{"interpreters": {interpreters}}}')
                tally.add("replaced")


def put_outcome(
    done: queue.Queue[str],
    result: triton.InferResult | None,  # noqa: ARG001, tritonclient's.
    error: InferenceServerException | None,
) -> None:
    """To be called by tritonclient when a request is over."""
    done.put("OK" if error is None else str(error.status()))


def put(models: Path, name: str, archive: Path) -> None:
    """Have the archive be the model's, whole at any time."""
    folder = models / name / "1"
    folder.mkdir(parents=True, exist_ok=True)
    hidden = folder / ".new"
    shutil.copyfile(archive, hidden)
    hidden.rename(folder / "model.pt")


def write_models(folder: Path) -> Path:
    """The repository, and beside it what is put into it later."""
    models = folder / "models"
    x = torch.zeros(1, dtype=torch.float64)
    for number in (1, 10, 20, 100, 1000):
        package(Plus(number).eval(), folder / f"plus-{number}.pt", name="plus", example_inputs=x)
    package(Plus(1, SLOW_S).eval(), folder / "slow.pt", example_inputs=x)
    package(Counting().eval(), folder / "yielding.pt", example_inputs=x)
    for name, file in (
        ("steady", "plus-1"),
        ("swapped", "plus-10"),
        ("passing", "plus-100"),
        ("streamed", "plus-1000"),
        ("killed", "plus-1"),
        ("scaled", "plus-1"),
        ("slow", "slow"),
        ("yielding", "yielding"),
    ):
        put(models, name, folder / f"{file}.pt")
    (folder / "broken.pt").write_bytes((folder / "plus-1.pt").read_bytes()[:-1000])
    put(models, "broken", folder / "broken.pt")
    return models


def check_counts(url: str, tallies: dict[str, Tally]) -> None:
    """The server has answered each request of these models once."""
    with triton.InferenceServerClient(url) as client:
        for model, kind in (("steady", "steady"), ("streamed", "streams")):  # Loaded once.
            (statistics,) = client.get_inference_statistics(model).model_stats
            counted = (
                statistics.inference_stats.success.count + statistics.inference_stats.fail.count
            )
            got = tallies[kind].outcomes["OK"]
            if counted != got:
                fail(f"{model}: the server counts {counted} answers, its clients {got}")


def check_drain(server: Server, load: Load) -> None:
    """Every request that the server has let in before its end is answered."""
    seen: Counter[str] = Counter()

    def ask() -> None:
        with triton.InferenceServerClient(load.url) as client:
            while seen.total() == seen["OK"]:
                number = float(next(load._numbers))
                try:
                    result = client.infer("slow", tensor(number), client_timeout=LONGEST_ANSWER_S)
                    seen["OK" if number_of(result) == number + 1 else "wrong"] += 1
                except InferenceServerException as error:
                    seen[str(error.status())] += 1

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(1)
    status = server.stop()
    for thread in threads:
        thread.join(LONGEST_ANSWER_S)
    console.print(f"the end under load: exit status {status}, {dict(seen)}")
    if status != 0 or not set(seen) <= {"OK", "StatusCode.UNAVAILABLE", "StatusCode.CANCELLED"}:
        fail(f"the drain ended with status {status}, and {dict(seen)}")


def soak(minutes: float) -> None:
    """Run all of it."""
    with tempfile.TemporaryDirectory() as folder:
        models = write_models(Path(folder))
        server = Server(
            models,
            interpreters=2,
            model_control="explicit",
            load_model=[path.name for path in models.iterdir() if path.name != "broken"],
            log_format="json",
        )
        with server:
            load = Load(server.url, models)
            begin = time.monotonic()
            load.start(
                {
                    "steady": (load.steady, 3),
                    "swapped": (load.swapped, 2),
                    "passing": (load.passing, 1),
                    "scaled": (load.scaled, 1),
                    "streams": (load.streams, 1),
                    "yielding": (load.yielding, 1),
                    "cancelling": (load.cancelling, 2),
                    "killed": (load.killed, 1),
                    "control": (load.control, 1),
                }
            )
            load.stop.wait(60 * minutes * WARM_SHARE)
            while load.tallies["control"].outcomes["replaced"] < WARM_CHANGES:
                if load.stop.wait(1):
                    break
            warm = Memory.of(server)
            load.stop.wait(max(60 * minutes - (time.monotonic() - begin), 0))
            load.end()
            after = Memory.of(server)
            for kind, tally in load.tallies.items():
                console.print(f"{kind}: {dict(tally.outcomes)}")
            check_counts(server.url, load.tallies)
            console.print(f"warm: {warm}; at the end: {after}")
            if after.mb - warm.mb_with(after.interpreters) >= MOST_GROWTH_MB:
                fail(f"the server grew from {warm} to {after}")
            if after.interpreters > MOST_INTERPRETERS:
                fail(f"there are {after.interpreters} interpreters, that are never all needed")
            check_drain(server, load)


def be_killed(url: str) -> None:
    """A client that asks until somebody ends it."""
    ignored: queue.Queue[str] = queue.Queue()
    with triton.InferenceServerClient(url) as client:
        client.infer("killed", tensor(0))
        os.write(1, b"answered\n")
        while True:
            for _ in range(8):
                client.async_infer("killed", tensor(0), partial(put_outcome, ignored))
            client.infer("killed", tensor(0))


@click.command(help=__doc__)
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--as-client-of", hidden=True, help="Be a client that is to be killed.")
def main(minutes: float, as_client_of: str | None) -> None:
    """Soak, or be one of its clients."""
    if as_client_of:
        be_killed(as_client_of)
    else:
        soak(minutes)


if __name__ == "__main__":
    main()
