"""States of computations with timers or alarms.

A key that is deleted, by whatever way, has no timers and no alarms any more, so a state knows what
has to forget the key with it.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from wallaroo.operators.keyed_state import KeyedState
from wallaroo.operators.saved_state import Moved, Progress, restart_of
from wallaroo.timing.instants import BEFORE_ALL


class TimedState(KeyedState):
    """A state of a computation that may have timers and alarms."""

    def __init__(self, *, has_clock: bool = False, tracks_changes: bool = False) -> None:
        """``has_clock`` says whether event time makes something due."""
        super().__init__(tracks_changes=tracks_changes)
        self._companions: list[Callable[[Any], object]] = []
        self._has_clock = has_clock
        self.clock = BEFORE_ALL
        """That of event time; if its keys expire by the wall clock, it has another one as well."""
        self.fired = BEFORE_ALL
        """Everything that is due up to here is given."""

    @property
    def progress(self) -> Progress | None:
        """Return how far it is in time; ``None`` if it has no time."""
        return Progress(self.clock, self.fired) if self._has_clock else None

    def move_clock(self, clock: int) -> None:
        """Move the clock of event time, which never goes back."""
        self.clock = max(self.clock, clock)

    def note_fired(self, fired: int) -> None:
        """Note up to when everything is given."""
        self.fired = max(self.fired, fired)

    def begin_restore(self, saved: Sequence[Progress], mine: Sequence[Progress]) -> None:
        """Start with the clock of the worker that was furthest."""
        if self._has_clock:
            self.clock, self.fired = restart_of(saved, 0)

    def take_in(self, givers: Iterable[Moved]) -> None:
        """Add keys that this worker owns now; its clock is at least that of who gives them, and
        what is due of them may not have been given."""
        givers = list(givers)
        super().take_in(givers)
        for giver in givers:
            self.clock = max(self.clock, giver.progress.clock)
            self.fired = min(self.fired, giver.progress.fired)

    def forget_with(self, forget: Callable[[Any], object]) -> None:
        """Call ``forget`` with each key that is deleted from now on."""
        self._companions.append(forget)

    def delete(self, key: Any) -> bool:
        """Delete a key with its timers and alarms; return whether it was here."""
        for forget in self._companions:
            forget(key)
        return super().delete(key)
