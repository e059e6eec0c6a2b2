"""Finds the part of a model that cannot be pickled, and says what to do."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING, Any

import torch
from torch.nn.utils.parametrize import is_parametrized

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWN_STATE = frozenset(vars(torch.nn.Module()))


def explain_unpicklable(obj: Any, exc: Exception) -> str:
    """One sentence that names the value, and one that says how to mend it."""
    where = next(_culprits(getattr(obj, "target", obj)), type(obj).__name__)
    text = f"{where} cannot be pickled: {exc}. "
    if parametrized := _parametrized(obj):
        return (
            f"{parametrized} is parametrized, which torch cannot pickle: call "
            "torch.nn.utils.parametrize.remove_parametrizations(...) on it first."
        )
    if "<lambda>" in str(exc) or "<locals>" in str(exc):
        return text + "Define the class or function at the top level of a module, with a name."
    return text + "Leave it out in __getstate__, or make it when it is first used."


def _culprits(model: Any) -> Iterator[str]:
    modules = model.named_modules() if isinstance(model, torch.nn.Module) else [("", model)]
    for path, module in modules:
        if "<locals>" in type(module).__qualname__:
            yield f"{path or 'the model'} ({type(module).__qualname__})"
        for name, value in getattr(module, "__dict__", {}).items():
            if name not in _OWN_STATE and not _can_pickle(value):
                yield f"{path}.{name}".lstrip(".") + f" ({type(value).__name__})"


def _parametrized(obj: Any) -> str:
    if not isinstance(obj, torch.nn.Module):
        return ""
    found = (name for name, module in obj.named_modules() if is_parametrized(module))
    return next((name or "the model" for name in found), "")


def _can_pickle(value: Any) -> bool:
    try:
        pickle.dumps(value)
    except Exception:  # noqa: BLE001 - a user's __reduce__ may raise anything.
        return False
    return True
