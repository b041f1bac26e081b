"""Timers of keys, for event time and for the wall clock.

What counts is ``due``: the time of each key's timer. The rest is an index that finds what is due,
and is rebuilt from it: slots of 34 ms, each with its keys, and a heap of slots. Setting a timer is
a look-up and two stores, however many timers there are; a heap of timers would cost more the more
there are, and keep an entry for each time that one was moved. A slot is sorted when it is due.

``due`` belongs to the state of the step: it is saved and moved by key, as pairs of key and value.
A timer that was given is gone from it, so a barrier may pass between any two.

``OneTimer`` is for steps with one name of timers, ``NamedTimers`` for those with several.
"""

from bisect import insort_left
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from operator import itemgetter
from typing import Any

from wallaroo.timing.instants import BEFORE_ALL
from wallaroo.timing.keyed_timing import NAME_BYTES_MAX, TIMERS_OF_KEY_MAX

SLOT_BITS = 25
"""A slot has 2 ** 25 ns, which are 34 ms."""

BeforeChange = Callable[[Any], object]
"""Called with a key before its timers change: a checkpoint may have to copy them."""

_time_of = itemgetter(0)


def _ignore(key: Any) -> None:
    """Do nothing: no checkpoint has to know."""


class Slots:
    """Keys by the span of time in which something of theirs is due; an index without times."""

    def __init__(self) -> None:
        self._keys: dict[int, dict[Any, None]] = {}
        self._order: list[int] = []
        """A heap of the slots."""

    def add(self, key: Any, time: int) -> None:
        """Note that something of a key is due then."""
        slot = time >> SLOT_BITS
        keys = self._keys.get(slot)
        if keys is None:
            keys = self._keys[slot] = {}
            heappush(self._order, slot)
        keys[key] = None

    def discard(self, key: Any, time: int) -> None:
        """Forget that something of a key was due then."""
        keys = self._keys.get(time >> SLOT_BITS)
        if keys is not None:
            keys.pop(key, None)

    def may_be_due(self, clock: int) -> bool:
        """Return whether something may be due; the slot that the clock is in is not looked into."""
        return bool(self._order) and self._order[0] <= clock >> SLOT_BITS

    def first_keys(self) -> dict[Any, None]:
        """Return the keys of the first slot that has any; empty if nothing is pending."""
        while self._order:
            if keys := self._keys[self._order[0]]:
                return keys
            del self._keys[heappop(self._order)]
        return {}

    def first(self, clock: int) -> tuple[dict[Any, None], int] | None:
        """Return the keys of the first slot that begins at ``clock`` or before, and up to when
        something of it may be due. It is removed, unless the clock is in the middle of it."""
        if not self._order or self._order[0] > clock >> SLOT_BITS:
            return None
        slot = self._order[0]
        last = ((slot + 1) << SLOT_BITS) - 1
        if clock < last:
            return self._keys[slot], clock
        heappop(self._order)
        return self._keys.pop(slot), last


class OneTimer(Slots):
    """At most one timer for each key."""

    def __init__(
        self, due: dict[Any, int] | None = None, before_change: BeforeChange = _ignore
    ) -> None:
        """``before_change`` is called before a timer that is due is removed; who sets and cancels
        timers knows it anyway."""
        super().__init__()
        self._before_change = before_change
        self.due: dict[Any, int] = {} if due is None else due
        """The time of each key's timer; read it, and change it by the methods."""
        self._ready: list[tuple[int, Any]] = []
        """Timers that are due, the first one at the end."""
        self._ready_until = BEFORE_ALL
        """All timers up to here are in ``_ready``, and no later ones."""
        for key, time in self.due.items():
            self.add(key, time)

    def set(self, key: Any, time: int) -> None:
        """Set the timer of a key, or move it."""
        due = self.due
        before = due.get(key)
        due[key] = time
        slot = time >> SLOT_BITS
        if before is not None:
            if before >> SLOT_BITS == slot and before > self._ready_until < time:
                return
            self.discard(key, before)
        if time <= self._ready_until:
            insort_left(self._ready, (time, key), key=_descending)
            return
        # As `add` does: a call would take a fifth of the time.
        keys = self._keys.get(slot)
        if keys is None:
            keys = self._keys[slot] = {}
            heappush(self._order, slot)
        keys[key] = None

    def cancel(self, key: Any) -> bool:
        """Cancel the timer of a key; return whether there was one."""
        time = self.due.pop(key, None)
        if time is None:
            return False
        self.discard(key, time)
        return True

    def take(self, clock: int) -> Iterator[tuple[int, Any]]:
        """Give time and key of each timer that is due, in order; each is gone when it is given.

        What is set meanwhile and due counts. It can be left at any time, and called again.
        """
        due, ready, before_change = self.due, self._ready, self._before_change
        pending_of = due.get
        while ready or self._fill(clock):
            while ready:
                time, key = ready.pop()
                # If it was moved since, another entry will find it.
                if pending_of(key) == time:
                    before_change(key)
                    del due[key]
                    yield time, key

    def earliest(self) -> int | None:
        """Return the time of the next timer; ``None`` if there is none."""
        due = self.due
        for time, key in reversed(self._ready):
            if due.get(key) == time:
                return int(time)
        times: list[int] = [due[key] for key in self.first_keys()]
        return min(times, default=None)

    def _fill(self, clock: int) -> bool:
        """Make the timers of the first slot ready that has any; return whether there are some."""
        due = self.due
        while (found := self.first(clock)) is not None:
            keys, until = found
            if until < clock:
                ready = [*zip(map(due.__getitem__, keys), keys, strict=True)]
            else:
                ready = [(time, key) for key in keys if (time := due[key]) <= until]
                for _, key in ready:
                    del keys[key]
            self._ready_until = until
            if ready or until == clock:
                ready.sort(key=_time_of)
                ready.reverse()
                # The list stays the same object: `take` may be running.
                self._ready[:] = ready
                break
        return bool(self._ready)


class NamedTimers:
    """Timers of several names for each key."""

    def __init__(
        self,
        due: dict[Any, dict[str, int]] | None = None,
        before_change: BeforeChange = _ignore,
    ) -> None:
        """``before_change`` is called as ``OneTimer`` does."""
        self._before_change = before_change
        self.due: dict[Any, dict[str, int]] = {} if due is None else due
        """The times of each key's timers by name, in the order in which they were set."""
        self.count = sum(map(len, self.due.values()))
        """How many timers are pending."""
        self._slots = Slots()
        self._ready: list[tuple[int, Any, str]] = []
        self._ready_until = BEFORE_ALL
        for key, times in self.due.items():
            for time in times.values():
                self._slots.add(key, time)

    def set(self, key: Any, name: str, time: int) -> None:
        """Set a timer of a key, or move it. Raises ``ValueError`` if a limit is passed."""
        times = self.due.get(key)
        if times is None:
            times = self.due[key] = {}
        if name in times:
            self._remove(key, times, name)
        elif len(times) >= TIMERS_OF_KEY_MAX:
            raise ValueError(f"a key has {len(times)} timers already; reuse their names")
        elif len(name.encode()) > NAME_BYTES_MAX:
            raise ValueError(f"the name of a timer has more than {NAME_BYTES_MAX} bytes")
        times[name] = time
        self.count += 1
        if time <= self._ready_until:
            insort_left(self._ready, (time, key, name), key=_descending)
        else:
            self._slots.add(key, time)

    def keep(self, key: Any, name: str, time: int) -> None:
        """Set a timer that ``take`` does not give."""
        times = self.due.setdefault(key, {})
        self.count += name not in times
        times[name] = time

    def cancel(self, key: Any, name: str) -> bool:
        """Cancel a timer of a key; return whether there was one."""
        times = self.due.get(key)
        if times is None or name not in times:
            return False
        self._remove(key, times, name)
        if not times:
            del self.due[key]
        return True

    def cancel_all(self, key: Any) -> int:
        """Cancel all timers of a key; return how many there were."""
        times = self.due.pop(key, {})
        self.count -= len(times)
        for time in times.values():
            self._slots.discard(key, time)
        return len(times)

    def take(self, clock: int) -> Iterator[tuple[int, Any, str]]:
        """Give time, key and name of each timer that is due, in order, as ``OneTimer`` does."""
        ready = self._ready
        while ready or self._fill(clock):
            while ready:
                time, key, name = ready.pop()
                times = self.due.get(key)
                if times is not None and times.get(name) == time:
                    self._before_change(key)
                    del times[name]
                    self.count -= 1
                    if not times:
                        del self.due[key]
                    yield time, key, name

    def may_be_due(self, clock: int) -> bool:
        """Return whether a timer may be due, as ``OneTimer`` does."""
        return self._slots.may_be_due(clock)

    def earliest(self) -> int | None:
        """Return the time of the next timer; ``None`` if there is none."""
        for time, key, name in reversed(self._ready):
            if self.due.get(key, {}).get(name) == time:
                return int(time)
        keys = self._slots.first_keys()
        times: list[int] = [min(self.due[key].values()) for key in keys if key in self.due]
        return min(times, default=None)

    def _remove(self, key: Any, times: dict[str, int], name: str) -> None:
        time = times.pop(name)
        self.count -= 1
        if time <= self._ready_until and (time, key, name) in self._ready:
            # Set again for the same time, it comes after others that were set before that.
            self._ready.remove((time, key, name))
        slot = time >> SLOT_BITS
        if all(other >> SLOT_BITS != slot for other in times.values()):
            self._slots.discard(key, time)

    def _fill(self, clock: int) -> bool:
        """Make the timers of the first slot ready that has any; return whether there are some."""
        while (found := self._slots.first(clock)) is not None:
            keys, until = found
            ready = [*self._due_in(keys, until)]
            self._ready_until = until
            if ready or until == clock:
                ready.sort(key=_time_of)
                ready.reverse()
                self._ready[:] = ready
                break
        return bool(self._ready)

    def _due_in(self, keys: dict[Any, None], until: int) -> Iterator[tuple[int, Any, str]]:
        """Yield what is due of a slot, and take keys out that have nothing else there."""
        slot = until >> SLOT_BITS
        for key in [*keys]:
            has_later = False
            for name, time in self.due.get(key, {}).items():
                if time >> SLOT_BITS == slot:
                    if time <= until:
                        yield time, key, name
                    else:
                        has_later = True
            if not has_later:
                del keys[key]


def _descending(entry: tuple[Any, ...]) -> int:
    return -int(entry[0])
