"""The entry of a model that yields.

Source: docs/manifest.md, "Models that yield".
"""

import asyncio
import collections.abc
from collections.abc import Iterator
from typing import Any

import torch

from .entry import Entry, fill, flatten


def is_stream(result: Any) -> bool:
    """Whether a model's result yields: a generator or another iterator, asynchronous or not."""
    return isinstance(result, (collections.abc.Iterator, collections.abc.AsyncIterator))


class Items:
    """The items of one result, one at a time."""

    def __init__(self, result: Any) -> None:
        self._result = result
        is_async = isinstance(result, collections.abc.AsyncIterator)
        # The loop runs while an item is waited for, and stands still between them.
        self._loop = asyncio.new_event_loop() if is_async else None

    def __iter__(self) -> "Items":
        return self

    def __next__(self) -> Any:
        """The next item; StopIteration, and the end, after the last."""
        try:
            # Around each step: what it sets within a generator would stay set between them.
            with torch.no_grad():
                return self._step()
        except BaseException:
            self.close()
            raise

    def _step(self) -> Any:
        if self._loop is None:
            return next(self._result)
        try:
            return self._loop.run_until_complete(anext(self._result))
        except StopAsyncIteration:
            raise StopIteration from None

    def close(self) -> None:
        """Ends the generator where it stands. Once is as good as twice."""
        result, self._result = self._result, iter(())
        loop, self._loop = self._loop, None
        if loop is not None:
            _close_async(result, loop)
        elif hasattr(result, "close"):
            result.close()


def _close_async(result: Any, loop: asyncio.AbstractEventLoop) -> None:
    try:
        # An interrupt leaves the item that was made under way, and its generator cannot be closed
        # before that has ended.
        tasks = asyncio.all_tasks(loop)
        for task in tasks:
            task.cancel()
        if tasks:
            loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        if hasattr(result, "aclose"):
            loop.run_until_complete(result.aclose())
    finally:
        loop.close()


class StreamEntry(Entry):
    """Yields what the target yields, each item as Entry gives a result.

    In plain Python it is called, as Entry is, and iterated. A server asks for one item after
    another, so that other requests run between them.
    """

    def __call__(self, **inputs: Any) -> Iterator[dict[str, Any]]:  # type: ignore[override]
        """The items, each a dict of tensors and lists of bytes by name."""
        items = self._items(inputs)
        try:
            for item in items:
                yield self.served(dict(flatten(item)))
        finally:
            items.close()

    def begin(self, stream: int, /, **inputs: Any) -> "dict[str, Any] | None":
        """The first item, or None when there is none; the others are advance()'s."""
        self._streams()[stream] = self._items(inputs)
        return self.advance(stream)

    def advance(self, stream: int, /) -> "dict[str, Any] | None":
        """The next item, or None after the last: then, or after an exception, it has ended."""
        items = self._streams().get(stream)
        if items is None:
            msg = "this stream has ended, or its interpreter was replaced"
            raise RuntimeError(msg)
        try:
            return self.served(dict(flatten(next(items))))
        except StopIteration:
            self.end(stream)
            return None
        except BaseException:
            self.end(stream)
            raise

    def end(self, stream: int, /) -> None:
        """Ends it where it stands; nothing when it has ended."""
        items = self._streams().pop(stream, None)
        if items is not None:
            items.close()

    def _items(self, inputs: dict[str, Any]) -> Items:
        result = self.target(*fill(self.args, inputs), **fill(self.kwargs, inputs))
        if not is_stream(result):
            msg = f"the model returned a {type(result).__name__}, but yielded in its example"
            raise TypeError(msg)
        return Items(result)

    def _streams(self) -> dict[int, Items]:
        # Not made by __init__: it is no part of what is pickled.
        streams: dict[int, Items] = self.__dict__.setdefault("_open_streams", {})
        return streams

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_open_streams"}
