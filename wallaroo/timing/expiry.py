"""Forgets the keys that no record has touched for a time to live, without looking at each record.

Objects are in **generations**: the young dict, which chains look into, and older ones. A generation
has the number of the quarter of a time to live in which all its keys were touched last. A key that
is not in the young dict is looked for in the older ones, and moves to the young one. So a key that
is touched all the time costs nothing, and one that is not is forgotten, with all of its
generation, after its time to live and before 1.25 of it.

By event time, the number of the young dict follows the times of records, and what is forgotten
follows the clock. The clock may be far behind, and then jump: what was touched by a record that was
ahead of it must not be forgotten too early.

A key is in one generation at a time, also while its generation is being forgotten. So one that
was touched cannot be dropped by a sweep that saw it before.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any

from wallaroo.timing.instants import BEFORE_ALL

QUARTERS = 4


class Generations:
    """The objects of one state on one worker, by when their keys were touched last."""

    def __init__(self, ttl_ns: int) -> None:
        assert ttl_ns >= QUARTERS
        # If the time to live is not a multiple of four, a key must not be dropped too early.
        self._quarter_ns = -(-ttl_ns // QUARTERS)
        self.quarter: int | None = None
        """In which the keys of the young dict were touched; ``None`` before the first time."""
        self.young: dict[Any, Any] = {}
        """What chains look into and add to; another dict after each turn that returns true."""
        self._older: deque[tuple[int, dict[Any, Any]]] = deque()
        """With their quarters, the youngest first."""
        self._expired: deque[dict[Any, Any]] = deque()

    def __len__(self) -> int:
        return sum(map(len, self._all()))

    def _all(self) -> Iterator[dict[Any, Any]]:
        yield self.young
        for _, generation in self._older:
            yield generation
        yield from self._expired

    def quarter_of(self, time: int) -> int:
        """Return the number of the quarter in which a time is."""
        return time // self._quarter_ns

    # Keys

    def revive(self, key: Any) -> Any:
        """Move a key to the young dict and return its object; ``None`` if there is none.

        A chain calls it for a key that is not in the young dict.
        """
        for generation in self._all():
            found = generation.pop(key, None)
            if found is not None:
                self.young[key] = found
                return found
        return None

    def holding(self, key: Any) -> dict[Any, Any] | None:
        """Return the generation that has a key; to look at a key does not touch it."""
        return next((each for each in self._all() if key in each), None)

    def items(self) -> Iterator[tuple[Any, Any]]:
        """Yield all keys and objects, the youngest first; nothing may change meanwhile."""
        for generation in self._all():
            yield from generation.items()

    # Time

    @property
    def turns_at(self) -> int:
        """The first time at which another young dict is needed."""
        return BEFORE_ALL if self.quarter is None else (self.quarter + 1) * self._quarter_ns

    def turn(self, time: int) -> bool:
        """Note that keys are touched at this time from now on; return whether the young dict is
        another one now, so that chains have to be bound to it."""
        quarter, before = self.quarter_of(time), self.quarter
        if before is None:
            # After a restore, older generations may be ahead of the records that are read again.
            self.quarter = max(quarter, self._older[0][0]) if self._older else quarter
            return False
        self.quarter = max(quarter, before)
        if quarter <= before or not self.young:
            return False
        self._older.appendleft((before, self.young))
        self.young = {}
        return True

    def expire(self, clock: int) -> bool:
        """Let the generations expire whose time is over; return what ``turn`` returns."""
        oldest = self.quarter_of(clock) - QUARTERS - 1
        has_turned = False
        if self.quarter is not None and self.quarter <= oldest:
            has_turned = self.turn(clock)
        while self._older and self._older[-1][0] <= oldest:
            self._expired.append(self._older.pop()[1])
        return has_turned

    def expires_at(self) -> int | None:
        """Return when the next keys expire; ``None`` if there are none."""
        if self._older:
            quarter: int | None = self._older[-1][0]
        else:
            quarter = self.quarter if self.young else None
        return None if quarter is None else (quarter + QUARTERS + 1) * self._quarter_ns

    def next_expired(self) -> Any:
        """Return a key that is to be forgotten, and its object; ``None`` if there is none.

        It is here until it is removed.
        """
        while self._expired and not self._expired[0]:
            self._expired.popleft()
        return next(iter(self._expired[0].items())) if self._expired else None

    @property
    def has_expired(self) -> bool:
        """Return whether keys are to be forgotten."""
        return self.next_expired() is not None

    # Restores and moves

    def rebuild(self, quarters: Mapping[Any, int]) -> None:
        """Put all keys into the generations of their quarters; those without one stay young."""
        objects = dict(self.items())
        generations: dict[int, dict[Any, Any]] = {}
        self.young, self._expired = {}, deque()
        for key, found in objects.items():
            quarter = quarters.get(key)
            if quarter is None:
                self.young[key] = found
            else:
                generations.setdefault(quarter, {})[key] = found
        if self.quarter is not None:
            for quarter in [each for each in generations if each >= self.quarter]:
                self.young.update(generations.pop(quarter))
        self._older = deque(sorted(generations.items(), key=lambda each: -each[0]))
