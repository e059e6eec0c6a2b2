"""The load generator, and the bare server that ours is measured by."""

from __future__ import annotations

import contextlib
import json
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from figures import BUILD

from torchdeploy_pkg.oip_messages import message_class
from torchdeploy_pkg.tensor_codec import encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

PROGRAMS = BUILD / "release" / "benchmarks"


@dataclass(frozen=True)
class Load:
    """What load_generator prints."""

    requests_per_second: float
    p50_us: float
    p99_us: float
    errors: int
    answer_bytes: int


def write_request(path: Path, model: str, inputs: Mapping[str, Any]) -> Path:
    """A file for load_generator: a request for the model, tensors in raw contents."""
    request = message_class("ModelInferRequest")(model_name=model)
    for name, value in inputs.items():
        datatype, shape, raw = encode(name, value)
        request.inputs.add(name=name, datatype=datatype, shape=shape)
        request.raw_input_contents.append(raw)
    path.write_bytes(request.SerializeToString())
    return path


def load(
    url: str, requests: Sequence[Path], *, concurrent: int, seconds: float, channels: int = 1
) -> Load:
    """Keep so many requests under way; an error in any of them ends the measurement."""
    command = [PROGRAMS / "load_generator", url, concurrent, channels, seconds, *requests]
    output = subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE).stdout
    measured = Load(**json.loads(output))
    if measured.errors:
        msg = f"{url} answered {measured.errors} requests with errors"
        raise RuntimeError(msg)
    return measured


@contextlib.contextmanager
def echo_server() -> Iterator[str]:
    """Run echo_server; gives its HOST:PORT."""
    with subprocess.Popen(
        [PROGRAMS / "echo_server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:  # At the end its input is closed, and so it ends.
        assert process.stdout is not None
        yield f"127.0.0.1:{int(process.stdout.readline())}"
