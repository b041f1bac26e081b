"""The order in which records leave a step at which they have waited, once they have outcomes."""

from collections import deque
from typing import Any, Protocol

from wallaroo.runtime.held import UNDECIDED, Held
from wallaroo.topology.waiting import Order


class ResultOrder(Protocol):
    """Which records may leave."""

    @property
    def has_ready(self) -> bool:
        """Whether ``take`` would return any."""
        ...

    def enter(self, held: Held) -> None:
        """Note that a record has arrived."""
        ...

    def decided(self, held: Held) -> None:
        """Note that it has its outcome."""
        ...

    def take(self, count: int) -> list[Held]:
        """Return up to ``count`` records that leave now."""
        ...


def new_order(order: Order | None) -> ResultOrder:
    """Return the order that a step asks for."""
    match order:
        case Order.ALL:
            return _InOrder()
        case Order.KEY:
            return _InOrderOfKey()
        case _:
            return _AsDecided()


class _AsDecided:
    """Records leave as they get their outcomes."""

    def __init__(self) -> None:
        self._ready: deque[Held] = deque()

    @property
    def has_ready(self) -> bool:
        return bool(self._ready)

    def enter(self, held: Held) -> None:
        pass

    def decided(self, held: Held) -> None:
        self._ready.append(held)

    def take(self, count: int) -> list[Held]:
        ready = self._ready
        return [ready.popleft() for _ in range(min(count, len(ready)))]


class _InOrder:
    """Records leave in the order in which they entered."""

    def __init__(self) -> None:
        self._queue: deque[Held] = deque()

    @property
    def has_ready(self) -> bool:
        return bool(self._queue) and self._queue[0].outcome is not UNDECIDED

    def enter(self, held: Held) -> None:
        self._queue.append(held)

    def decided(self, held: Held) -> None:
        pass

    def take(self, count: int) -> list[Held]:
        queue = self._queue
        taken: list[Held] = []
        while len(taken) < count and queue and queue[0].outcome is not UNDECIDED:
            taken.append(queue.popleft())
        return taken


class _InOrderOfKey(_AsDecided):
    """Records of the same key leave in the order in which they entered."""

    def __init__(self) -> None:
        super().__init__()
        self._queues: dict[Any, deque[Held]] = {}

    def enter(self, held: Held) -> None:
        queue = self._queues.get(held.key)
        if queue is None:
            self._queues[held.key] = deque((held,))
        else:
            queue.append(held)

    def decided(self, held: Held) -> None:
        queue = self._queues[held.key]
        if queue[0] is not held:
            return
        while queue and queue[0].outcome is not UNDECIDED:
            self._ready.append(queue.popleft())
        if not queue:
            del self._queues[held.key]
