"""Asks a server that speaks HTTP: urllib checks, wrk measures."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from load import Load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from workloads import Array, Request, Workload

TIMEOUT_S = 30
SCRIPT = Path(__file__).resolve().parent / "post_bodies.lua"


@dataclass(frozen=True)
class HttpClient:
    """Of one workload on one server: bytes in, the bytes of a FP32 tensor out.

    Attributes:
        url: What is posted to.
        workload: What is asked.
        folder: For the bodies that wrk sends.
    """

    url: str
    workload: Workload
    folder: Path

    def ask(self, request: Request) -> Array:
        """Post once."""
        post = urllib.request.Request(
            self.url,
            self.workload.body_of(request),
            {"Content-Type": "application/octet-stream"},
        )
        with urllib.request.urlopen(post, timeout=TIMEOUT_S) as response:
            return np.frombuffer(response.read(), np.float32)

    def load(self, requests: Sequence[Request], clients: int, seconds: int) -> Load:
        """Run wrk, with one thread and a connection for each client.

        Raises:
            RuntimeError: There were errors.
        """
        bodies = [self.folder / f"body_{i}" for i in range(len(requests))]
        for body, request in zip(bodies, requests, strict=True):
            body.write_bytes(self.workload.body_of(request))
        command = ["wrk", "--threads", 1, "--connections", clients, "--duration", seconds]
        command += ["--timeout", TIMEOUT_S, "--script", SCRIPT, self.url, "--", *bodies]
        output = subprocess.run(
            list(map(str, command)),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            timeout=seconds + 2 * TIMEOUT_S,
        ).stdout
        measured = Load(**json.loads(output.splitlines()[-1]))
        if measured.errors:
            msg = f"{self.url} answered {measured.errors} requests with errors"
            raise RuntimeError(msg)
        return measured
