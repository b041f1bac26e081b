"""Says from time to time that a method of an author does not return, and where it is."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

REPORTED_EVERY_S = 10.0


class SlowCall:
    """Reports one call every 10 s, with its stack, until ``end``."""

    def __init__(self, report: Callable[[str, str], None], thread_stack: Callable[[], str]) -> None:
        """``report`` gets a sentence and the stack; ``thread_stack`` returns that of a thread."""
        self._report = report
        self._thread_stack = thread_stack
        self._awaited: Awaitable[Any] | None = None
        self._loop = asyncio.get_running_loop()
        self._began_s = self._loop.time()
        self._timer = self._loop.call_later(REPORTED_EVERY_S, self._due)

    async def settled(self, result: Any) -> Any:
        """Return what a method returned, or what it waits for if it is a coroutine."""
        if not isinstance(result, Awaitable):
            return result
        self._awaited = result
        return await result

    def end(self) -> None:
        """Note that the method has returned or raised."""
        self._timer.cancel()

    def _due(self) -> None:
        self._timer = self._loop.call_later(REPORTED_EVERY_S, self._due)
        duration_s = self._loop.time() - self._began_s
        stack = self._thread_stack() if self._awaited is None else _stack_of(self._awaited)
        self._report(f"it has not returned for {duration_s:.0f} s", stack)


def _stack_of(waiting: Any) -> str:
    """Return where a suspended coroutine is, as in a traceback."""
    lines: list[str] = []
    while (frame := getattr(waiting, "cr_frame", None)) is not None:
        lines += traceback.format_stack(frame, limit=1)
        waiting = waiting.cr_await
    return "".join(lines)
