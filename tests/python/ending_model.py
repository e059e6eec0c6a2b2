"""A model that is still busy, or has something left to do, when its process ends."""

from __future__ import annotations

import atexit
import ctypes
import sys
import time

import torch


def say_last_words() -> None:
    """Leave a line to an atexit handler, and one in the buffer of standard output."""
    sys.stdout.reconfigure(line_buffering=False)  # type: ignore[union-attr]
    atexit.register(print, "last words of a model")
    sys.stdout.write("buffered words of a model\n")


def loop() -> None:
    """Work for ever, in Python and in torch."""
    x = torch.eye(64)
    while True:
        x = x @ torch.eye(64)


def nap(seconds: float) -> float:
    """Sleep without the interpreter's GIL."""
    time.sleep(seconds)
    return seconds


def hold() -> None:
    """Sleep for ever in native code, with the interpreter's GIL held."""
    ctypes.PyDLL(None).pause()
