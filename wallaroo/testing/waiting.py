"""The objects that simulated coroutines await."""

from collections.abc import Callable, Generator


class Waiting:
    """An event that one coroutine awaits."""

    def __init__(self) -> None:
        self.is_finished = False
        self._resume: Callable[[], None] | None = None

    def resumes(self, resume: Callable[[], None]) -> None:
        """Call ``resume`` once the event is reported: the coroutine waits now."""
        self._resume = resume

    def finish(self) -> None:
        """Report the event, which resumes the coroutine."""
        self.is_finished = True
        if self._resume is not None:
            self._resume()

    def __await__(self) -> Generator["Waiting", None, None]:
        if not self.is_finished:
            yield self


class Flag:
    """A flag that coroutines can wait for, like ``asyncio.Event``."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[Waiting] = []

    def set(self) -> None:
        """Set the flag."""
        self._is_set = True
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.finish()

    def clear(self) -> None:
        """Clear the flag."""
        self._is_set = False

    def is_set(self) -> bool:
        """Return whether the flag is set."""
        return self._is_set

    async def wait(self) -> None:
        """Wait until the flag is set."""
        while not self._is_set:
            waiting = Waiting()
            self._waiting.append(waiting)
            await waiting
