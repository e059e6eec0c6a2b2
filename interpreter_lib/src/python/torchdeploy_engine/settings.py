"""Puts back what C++ cannot, when a call has changed it."""

from __future__ import annotations

import warnings
from typing import Any

import torch


def restore_warning_filters(filters: list[Any], held: tuple[Any, ...]) -> None:
    """Make `filters` what warnings.filters is, holding `held`."""
    filters[:] = held
    # What mypy knows is a read-only view of it.
    setattr(warnings, "filters", filters)  # noqa: B010
    # Warnings remember what they have decided until they are told; the name depends on Python.
    for name in ("_filters_mutated", "_filters_mutated_lock_held"):
        mutated = getattr(warnings, name, None)
        if mutated is not None:
            _tell(mutated)
            return


def _tell(mutated: Any) -> None:
    lock = getattr(warnings, "_lock", None)
    if lock is None:
        mutated()
        return
    with lock:
        mutated()


def restore_deterministic(mode: bool, warn_only: bool) -> None:
    """Set both flags; torch passes them on to its compiler."""
    torch.use_deterministic_algorithms(mode, warn_only=warn_only)
