"""What simulated coroutines wait for."""

from collections.abc import Callable, Generator


class Waiting:
    """What a coroutine waits for."""

    def __init__(self) -> None:
        self.is_finished = False
        self.then: Callable[[], None] = lambda: None

    def finish(self) -> None:
        """It has happened."""
        self.is_finished = True
        self.then()

    def __await__(self) -> Generator["Waiting", None, None]:
        if not self.is_finished:
            yield self


class Flag:
    """Something that coroutines can wait for, as ``asyncio.Event``."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: list[Waiting] = []

    def set(self) -> None:
        """It is so."""
        self._is_set = True
        waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.finish()

    def clear(self) -> None:
        """It is not so any more."""
        self._is_set = False

    def is_set(self) -> bool:
        """Whether it is so."""
        return self._is_set

    async def wait(self) -> None:
        """Return once it is so."""
        while not self._is_set:
            waiting = Waiting()
            self._waiting.append(waiting)
            await waiting
