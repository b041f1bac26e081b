"""The order in which records leave a step at which they have waited, once they have outcomes."""

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any, Protocol

from wallaroo.runtime.held import UNDECIDED, Held
from wallaroo.topology.waiting import Order


class ResultOrder(Protocol):
    """Which records may leave."""

    @property
    def has_ready(self) -> bool:
        """Whether ``take`` would return any."""
        ...

    def enter(self, records: Iterable[Held]) -> None:
        """Note that records have arrived."""
        ...

    def decided(self, records: Iterable[Held]) -> None:
        """Note that records have their outcomes."""
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

    def enter(self, records: Iterable[Held]) -> None:
        pass

    def decided(self, records: Iterable[Held]) -> None:
        self._ready.extend(records)

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

    def enter(self, records: Iterable[Held]) -> None:
        self._queue.extend(records)

    def decided(self, records: Iterable[Held]) -> None:
        pass

    def take(self, count: int) -> list[Held]:
        queue = self._queue
        taken: list[Held] = []
        for held in islice(queue, count):
            if held.outcome is UNDECIDED:
                break
            taken.append(held)
        for _ in taken:
            queue.popleft()
        return taken


class _InOrderOfKey(_AsDecided):
    """Records of the same key leave in the order in which they entered."""

    def __init__(self) -> None:
        super().__init__()
        self._queues: dict[Any, deque[Held]] = {}

    def enter(self, records: Iterable[Held]) -> None:
        for held in records:
            queue = self._queues.get(held.key)
            if queue is None:
                self._queues[held.key] = deque((held,))
            else:
                queue.append(held)

    def decided(self, records: Iterable[Held]) -> None:
        for held in records:
            queue = self._queues.get(held.key)
            if queue is None or queue[0] is not held:
                continue  # it waits for an earlier one, or has become ready behind it
            while queue and queue[0].outcome is not UNDECIDED:
                self._ready.append(queue.popleft())
            if not queue:
                del self._queues[held.key]
