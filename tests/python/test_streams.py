"""The items of a model that yields, in plain Python."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

import pytest

from torchdeploy_pkg.in_archive.streams import Items, is_stream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


def test_what_yields_is_told_from_what_does_not() -> None:
    async def later() -> AsyncIterator[int]:
        yield 1

    assert is_stream(x for x in (1, 2))
    assert is_stream(iter([1]))
    assert is_stream(later())
    for value in ([1], (1,), {"a": 1}, "text", 1, None):
        assert not is_stream(value)


def test_an_interrupt_within_an_item_closes_an_asynchronous_generator() -> None:
    closed = []

    def interrupt() -> NoReturn:
        raise KeyboardInterrupt

    async def numbers() -> AsyncIterator[int]:
        try:
            asyncio.get_running_loop().call_soon(interrupt)
            await asyncio.sleep(60)
            yield 1
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    items = Items(numbers())
    with pytest.raises(KeyboardInterrupt):
        next(items)
    assert closed == [True]
    with pytest.raises(StopIteration):
        next(items)


def test_tasks_that_a_generator_leaves_behind_end_with_it() -> None:
    ended = []

    async def background() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(True)

    async def numbers() -> AsyncIterator[int]:
        task = asyncio.create_task(background())
        await asyncio.sleep(0)
        yield 1
        assert not task.done()

    items = Items(numbers())
    assert next(items) == 1
    items.close()
    assert ended == [True]
