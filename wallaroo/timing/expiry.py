"""Forgets the keys that no record has touched for a time to live, without looking at each record.

Objects are in **generations**: the young dict, which chains look into, and four older ones. A key
that is not in the young dict is looked for in the older ones, and moves to the young one. Each
quarter of the time to live all become one older; the oldest is dropped as a whole, or key by key if
somebody wants to know. So a key is forgotten after its time to live, and before 1.25 of it, and a
key that is touched all the time costs nothing.

A key is in one generation at a time. So one that was touched cannot be dropped by a sweep that saw
it before.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

QUARTERS = 4


class Generations:
    """The objects of one state on one worker, by when their keys were touched last."""

    def __init__(self, ttl_ns: int, now_ns: int) -> None:
        """``now_ns`` is by the clock that the state expires by: event time or the wall clock."""
        assert ttl_ns >= QUARTERS
        self._quarter_ns = ttl_ns // QUARTERS
        # A time to live that is not a multiple of four: a key must not be dropped too early.
        self._quarter_ns += ttl_ns % QUARTERS > 0
        self._quarter = now_ns // self._quarter_ns
        self.young: dict[Any, Any] = {}
        """What chains look into and add to; another dict after each ``turn`` that returns true."""
        self._older: deque[dict[Any, Any]] = deque([{} for _ in range(QUARTERS)])
        """The youngest first."""
        self._expired: deque[dict[Any, Any]] = deque()

    def __len__(self) -> int:
        return len(self.young) + sum(map(len, self._older))

    def revive(self, key: Any) -> Any:
        """Move a key to the young dict and return its object; ``None`` if there is none.

        A chain calls it for a key that is not in the young dict. The key counts as changed: its
        lease in checkpoints has to be renewed, too.
        """
        for generation in self._older:
            found = generation.pop(key, None)
            if found is not None:
                self.young[key] = found
                return found
        return None

    def peek(self, key: Any) -> Any:
        """Return the object of a key without touching it, for checkpoints and queries."""
        for generation in (self.young, *self._older):
            if (found := generation.get(key)) is not None:
                return found
        return None

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Yield all keys and objects, the youngest first; nothing may change meanwhile."""
        for generation in (self.young, *self._older):
            yield from generation.items()

    def remove(self, keys: Iterable[Any]) -> dict[Any, Any]:
        """Remove keys that are deleted or move to another worker; return their objects."""
        removed = {}
        for key in keys:
            for generation in (self.young, *self._older):
                if (found := generation.pop(key, None)) is not None:
                    removed[key] = found
                    break
        return removed

    def restore(self, objects: Mapping[Any, Any], touched_ns: int) -> None:
        """Add objects that were touched at ``touched_ns``, or not long before that; those of which
        the time is over are left out."""
        age = max(self._quarter - touched_ns // self._quarter_ns, 0)
        if age == 0:
            self.young.update(objects)
        elif age <= QUARTERS:
            self._older[age - 1].update(objects)

    def turn(self, now_ns: int) -> bool:
        """Let generations grow older as the clock moves; return whether the young dict is another
        one now, so that chains have to be bound to it."""
        quarter = now_ns // self._quarter_ns
        turns = min(quarter - self._quarter, QUARTERS + 1)
        if turns <= 0:
            return False
        self._quarter = quarter
        for _ in range(turns):
            self._older.appendleft(self.young)
            self.young = {}
            if dropped := self._older.pop():
                self._expired.append(dropped)
        return True

    def take_expired(self, count_max: int) -> list[tuple[Any, Any]]:
        """Return some keys that are forgotten, with their objects, for a last result of each.

        It returns an empty list if there are no more.
        """
        while self._expired and not self._expired[0]:
            self._expired.popleft()
        if not self._expired:
            return []
        generation = self._expired[0]
        keys = [*islice(generation, count_max)]
        return [(key, generation.pop(key)) for key in keys]

    def drop_expired(self) -> None:
        """Free what is forgotten, if nobody wants to know of it."""
        self._expired.clear()


class LastTouches:
    """When each key was touched last, by event time, if a state has to expire to the nanosecond.

    It is the same in each replay, whenever generations grow older.
    """

    def __init__(self, ttl_ns: int, times: dict[Any, int] | None = None) -> None:
        self._ttl_ns = ttl_ns
        self.times: dict[Any, int] = times if times is not None else {}
        """By key, as a checkpoint has them."""

    def touch(self, key: Any, time: int) -> bool:
        """Note a record of a key; return whether it may find the state of the key."""
        last = self.times.get(key)
        if last is None or time > last:
            self.times[key] = time
        return last is not None and time - last < self._ttl_ns

    def remove(self, keys: Iterable[Any]) -> None:
        """Forget keys whose states are gone."""
        for key in keys:
            self.times.pop(key, None)
