"""Starts and stops an interpreter."""

from __future__ import annotations

import atexit
import contextlib
import gc
import sys

import torch
import torch.package
import torch.utils._device

from . import operator_claims


def start(slot: int, intra_op_threads: int) -> None:
    """Prepare this interpreter, the one at index `slot`, for its first call."""
    torch.version.interp = slot  # type: ignore[attr-defined]
    torch.set_num_threads(intra_op_threads)
    operator_claims.install(operator_claims.Claims())
    # What is here now stays: a collection need not look at it again.
    gc.collect()
    gc.freeze()


def stop() -> None:
    """Run the atexit handlers and flush the streams. Raises nothing."""
    # atexit prints what a handler raises and goes on.
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
