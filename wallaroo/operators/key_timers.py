"""The timers, or the alarms, of one step on one worker, over the state that checkpoints keep.

``objects`` of the state is the truth: key to time if the step has one name of timers, key to names
with times if it has several. What finds the timers that are due is made of that, and again after
each restore and each resize.
"""

from collections.abc import Iterator
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from wallaroo.operators.keyed_state import KeyedState
from wallaroo.timing.instants import BEFORE_ALL, END
from wallaroo.timing.timers import NamedTimers, OneTimer


class PendingTimer(NamedTuple):
    """A timer or an alarm that has not fired, as queries show it."""

    name: str
    kind: str
    """``timer`` or ``alarm``."""
    time: int


class Due(NamedTuple):
    """A timer that is due, and is not pending any more."""

    time: int
    key: Any
    name: str


class NoTimers:
    """Refuses to set what the step has no function for."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def set(self, key: Any, name: str, time: int) -> None:
        """Raise ``ValueError``."""
        raise _unknown(self._kind, name)

    def cancel(self, key: Any, name: str) -> bool:
        """Return that there is none."""
        return False


class KeyTimers:
    """At most one timer for each key and name; ``kind`` is ``timer`` or ``alarm``."""

    def __init__(self, state: KeyedState, names: tuple[str, ...], kind: str) -> None:
        self._state = state
        self._names = frozenset(names)
        self._first_name = names[0]
        self._only_name = names[0] if len(names) == 1 else None
        self.kind = kind
        self.clock = BEFORE_ALL
        """Timers up to here are due."""
        self.fired_count = 0
        self._one: OneTimer
        self._named: NamedTimers
        self._may_be_due = False
        self._firing_at: int | None = None
        """The time of the timer that is being called."""
        self.rebuild()

    @property
    def pending_count(self) -> int:
        """Return how many timers are pending."""
        return len(self._state) if self._only_name is not None else self._named.count

    def rebuild(self) -> None:
        """Find what is due from the state again, after a restore or when keys have moved."""
        self._adapt()
        before_removal = partial(self._state.before_change, may_remove=True)
        if self._only_name is not None:
            self._one = OneTimer(self._state.objects, before_removal)
        else:
            self._named = NamedTimers(self._state.objects, before_removal)
        self._may_be_due = self._timers.may_be_due(self.clock)

    def _adapt(self) -> None:
        """Give timers of a checkpoint the form that they have now.

        A step that had one name of timers may have several by now, of which that one is the first.
        Timers without a function are dropped.
        """
        for key, found in [*self._state.items()]:
            if self._only_name is not None:
                adapted = found if type(found) is int else found.get(self._only_name)
            elif type(found) is int:
                adapted = {self._first_name: found}
            elif self._names.issuperset(found):
                adapted = found
            else:
                adapted = {name: found[name] for name in found if name in self._names} or None
            if adapted is None:
                self._state.delete(key)
            elif adapted is not found:
                self._state.replace(key, adapted)

    @property
    def _timers(self) -> OneTimer | NamedTimers:
        return self._one if self._only_name is not None else self._named

    def set(self, key: Any, name: str, time: int) -> None:
        """Set a timer of a key, or move it."""
        if name not in self._names:
            raise _unknown(self.kind, name)
        self._state.before_change(key)
        if self.clock >= END and self._firing_at is not None and time > self._firing_at:
            # One that sets itself again each minute would never let the input end.
            self._keep(key, name, time)
            return
        if self._only_name is not None:
            self._one.set(key, time)
        else:
            self._named.set(key, name, time)
        if time <= self.clock:
            self._may_be_due = True

    def _keep(self, key: Any, name: str, time: int) -> None:
        """Let checkpoints have a timer that does not fire any more in this run."""
        if self._only_name is not None:
            self._state.replace(key, time)
        else:
            self._named.keep(key, name, time)

    def cancel(self, key: Any, name: str) -> bool:
        """Cancel a timer of a key; return whether there was one."""
        if key not in self._state or name not in self._names:
            return False
        self._state.before_change(key, may_remove=True)
        if self._only_name is not None:
            return self._one.cancel(key)
        return self._named.cancel(key, name)

    def forget(self, key: Any) -> None:
        """Cancel all timers of a key, whose state is gone."""
        if key not in self._state:
            return
        self._state.before_change(key, may_remove=True)
        if self._only_name is not None:
            self._one.cancel(key)
        else:
            self._named.cancel_all(key)

    def pending(self, key: Any) -> list[PendingTimer]:
        """Return the timers of a key."""
        found = self._state.get(key)
        if found is None:
            return []
        times = {self._only_name: found} if self._only_name is not None else found
        return [PendingTimer(name, self.kind, time) for name, time in times.items()]

    # What is due

    def advance(self, clock: int) -> None:
        """Move the clock; it never goes back."""
        if clock > self.clock:
            self.clock = clock
            self._may_be_due = self._may_be_due or self._timers.may_be_due(clock)

    def earliest(self) -> int | None:
        """Return the time of the next timer; ``None`` if none is pending."""
        return self._timers.earliest()

    @property
    def has_due(self) -> bool:
        """Return whether ``take`` may give something."""
        return self._may_be_due

    def take(self, count_max: int) -> Iterator[tuple[str, Iterator[tuple[Any, int]]]]:
        """Yield names, each with keys and times of timers that are due and follow each other.

        A timer is pending until the iterator gives it, so a function that is called for one may
        cancel or move those that follow. Each inner iterator has to be used up.
        """
        due = self._due(count_max)
        following = next(due, None)
        while following is not None:
            name, first, left = following.name, following, [None]

            def of_name(first: Due = first, name: str = name, left: list[Any] = left) -> Any:
                for each in chain((first,), due):
                    if each.name != name:
                        left[0] = each
                        return
                    yield each.key, each.time

            yield name, of_name()
            following = left[0]

    def _due(self, count_max: int) -> Iterator[Due]:
        for _, (time, key, name) in zip(range(count_max), self._all_due(), strict=False):
            self.fired_count += 1
            self._firing_at = time
            yield Due(time, key, name)
        self._firing_at = None

    def _all_due(self) -> Iterator[tuple[int, Any, str]]:
        if self._only_name is not None:
            for time, key in self._one.take(self.clock):
                yield time, key, self._only_name
        else:
            yield from self._named.take(self.clock)
        self._may_be_due = False


def _unknown(kind: str, name: object) -> ValueError:
    return ValueError(
        f"no function handles the {kind} {name!r}; write one with on_{kind}({name!r})"
    )
