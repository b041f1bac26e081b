"""Calls methods of connectors that may be coroutines."""

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any


class Caller:
    """Runs what is asynchronous on an event loop of its own, always the same one."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def call(self, method: Callable[..., Any], *given: Any) -> Any:
        """Return the result of a method, which may be a coroutine."""
        result = method(*given)
        return self._awaited(result) if inspect.isawaitable(result) else result

    def iterate(self, items: Iterator[Any] | AsyncIterator[Any]) -> Iterator[Any]:
        """Yield the items of an iterator that may be asynchronous."""
        if not isinstance(items, AsyncIterator):
            yield from items
            return
        while True:
            try:
                yield self._awaited(anext(items))
            except StopAsyncIteration:
                return

    def _awaited(self, awaitable: Any) -> Any:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(_result_of(awaitable))

    def close(self) -> None:
        """Close the event loop."""
        if self._loop is not None:
            self._loop.close()
            self._loop = None


async def _result_of(awaitable: Any) -> Any:
    return await awaitable
