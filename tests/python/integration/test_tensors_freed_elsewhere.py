"""Tensors of one Python that others hold and free, all under load."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
import torch

from torchdeploy_pkg import InterpreterManager

if TYPE_CHECKING:
    from torchdeploy_pkg.runtime import ReplicatedObj

pytestmark = pytest.mark.integration

# What it keeps is freed by later calls, which hold this interpreter's GIL and no other.
SOURCE = """
import collections, torch

kept = collections.deque(maxlen=8)

def exchange(tensor):
    kept.append(tensor)
    old = kept[len(kept) // 2]
    if len(kept) % 3 == 0:
        tensor.data = torch.zeros_like(tensor)
    elif len(kept) % 3 == 1:
        kept[0] = tensor.untyped_storage()
    else:
        tensor.set_()
    return torch.full((64,), 1.0) if not torch.is_tensor(old) or old.numel() == 0 else old
"""
CALLS = 400


def pass_around(exchange: ReplicatedObj, answers: list[int]) -> None:
    tensor = torch.ones(64)
    for _ in range(CALLS):
        # What comes from one interpreter goes to another, and the host drops what it had.
        tensor = exchange(tensor)
        tensor = tensor.detach().clone() if tensor.numel() == 0 else tensor
        tensor.data = torch.ones(64)
    answers.append(int(tensor.sum()))


def test_two_interpreters_and_the_host_free_each_others_tensors_and_never_wait() -> None:
    with InterpreterManager(2, intra_op_threads=1) as manager:
        manager.register_module_source("exchanged", SOURCE)
        with manager.acquire_one() as session:
            exchange = manager.create_movable(session.global_("exchanged", "exchange"))
        answers: list[int] = []
        threads = [
            threading.Thread(target=pass_around, args=(exchange, answers), daemon=True)
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(timeout=120)
        assert not any(thread.is_alive() for thread in threads), "a thread waits for ever"
        assert answers == [64] * 4
