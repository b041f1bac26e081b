"""What a state that time changes is for everything around it, whatever kind it is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

from wallaroo.operators.saved_state import SavedState

LateRecord = tuple[Any, Any, int]
"""Key, record and time."""


class Broken(NamedTuple):
    """A key for which user code has raised while something was made that is due."""

    key: Any
    record: Any
    """What the dead letter shows."""
    error: BaseException


class Due(NamedTuple):
    """A part of what is due, for the chain behind the port *fired*."""

    columns: tuple[Any, ...]
    """The arguments of the chain, of which the first is the list of keys."""
    failures: Sequence[Broken] = ()


@dataclass(frozen=True, slots=True)
class TimedFigures:
    """What is shown of a timed state."""

    open_count: int = 0
    """Windows that are not due, or timers and alarms that are pending."""
    late_count: int = 0
    fired_counts: dict[str, int] = field(default_factory=dict)
    """By kind."""


class TimedStore(Protocol):
    """The windows, or the timers, of one state on one worker."""

    @property
    def clock(self) -> int:
        """The last clock that ``advance`` was given."""
        ...

    @property
    def fired(self) -> int:
        """Everything with a time before this is given."""
        ...

    @property
    def has_due(self) -> bool:
        """Whether ``fire_some`` has something to do."""
        ...

    def advance(self, clock: int) -> None:
        """Move the clock; ``fire_some`` gives what is due then."""
        ...

    def fire_some(self, key_count_max: int) -> Due | None:
        """Return a part of what is due, of at most so many keys; ``None`` if nothing is due.

        It may be empty: then some work was done that gives no result yet. A barrier may pass
        between any two calls.
        """
        ...

    def fire_ready(self, time: int) -> Due | None:
        """Return what a record with this time has caused by itself, if there is anything."""
        ...

    def take_late(self) -> list[LateRecord]:
        """Return the late records that go on by themselves."""
        ...

    def saved_states(self) -> Mapping[str, SavedState]:
        """Return what checkpoints and moves take of it, by state."""
        ...

    def figures(self) -> TimedFigures:
        """Return what is shown of it."""
        ...
