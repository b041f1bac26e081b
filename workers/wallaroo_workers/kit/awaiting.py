"""Calls methods of connectors that may be coroutines."""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from wallaroo_workers.sources.author_methods import settled


class Caller:
    """Runs what is asynchronous on an event loop of its own, always the same one."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def call(self, method: Callable[..., Any], *given: Any) -> Any:
        """Return the result of a method, which may be a coroutine."""
        result = method(*given)
        return self._awaited(result) if inspect.isawaitable(result) else result

    def call_on_loop(self, method: Callable[..., Any], *given: Any) -> Any:
        """Return the result of a method that has to be called while the event loop runs."""
        return self._awaited(_called(method, *given))

    def _awaited(self, awaitable: Any) -> Any:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
        return self._loop.run_until_complete(settled(awaitable))

    def close(self) -> None:
        """Close the event loop."""
        if self._loop is not None:
            self._loop.close()
            self._loop = None


async def _called(method: Callable[..., Any], *given: Any) -> Any:
    return await settled(method(*given))
