"""A keyed state whose objects a timed store knows as well, as checkpoints and moves know it.

Windows of keys, and timers, are objects of a keyed state. Their store has an index of when each key
is due. The index is in no checkpoint: it is made again for keys that are restored or move in.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, Protocol

from wallaroo.operators.changes import StateWriter
from wallaroo.operators.keyed_state import KeyCursor, KeyedState
from wallaroo.operators.saved_state import (
    WINDOWS_SHOWN_MAX,
    Changes,
    Moved,
    OpenWindow,
    PaneTag,
    Progress,
    Shown,
    StateChunk,
    restart_of,
)
from wallaroo.timing.window_spec import Window


class Holder(Protocol):
    """A part of an object that belongs to the user."""

    accumulator: Any

    def set_accumulator(self, accumulator: Any) -> None:
        """Note what it is now."""
        ...


class KeyIndex(Protocol):
    """The store that has an index of the keys of a state."""

    @property
    def clock(self) -> int:
        """The last clock."""
        ...

    @property
    def fired(self) -> int:
        """Up to when everything is given."""
        ...

    def restore_clock(self, clock: int, fired: int) -> None:
        """Set the clock of a checkpoint, before there are keys."""
        ...

    def take_clock(self, clock: int, fired: int) -> None:
        """Go on with keys of another worker, which is this far."""
        ...

    def add_keys(self, keys: Iterable[Any]) -> None:
        """Add keys to the index, whose objects are in the state."""
        ...

    def drop_keys(self, keys: Iterable[Any]) -> None:
        """Forget keys that another worker owns now."""
        ...

    def get(self, key: Any) -> Sequence[tuple[Window, Any]]:
        """Return the open windows of a key with their accumulators."""
        ...

    def holders(self, value: Any) -> Iterable[Holder]:
        """Return what belongs to the user in the object of a key."""
        ...


class TimedKeyedState:
    """The objects of one state and their index."""

    def __init__(self, state: KeyedState, index: KeyIndex, delay_ns: int = 0) -> None:
        """``delay_ns`` is how much later than their end windows fire."""
        self._state = state
        self._index = index
        self._delay_ns = delay_ns

    @property
    def changes(self) -> Changes | None:
        """What the next checkpoint has to write; ``None`` without checkpoints."""
        return self._state.changes

    @property
    def progress(self) -> Progress:
        """Return how far it is in time."""
        return Progress(self._index.clock, self._index.fired)

    def __len__(self) -> int:
        return len(self._state)

    # Requests

    def shown(self, key: Any) -> Shown | None:
        """Return the windows of a key that have not fired; ``None`` if there are none."""
        found = self._index.get(key)
        first = found[:WINDOWS_SHOWN_MAX]
        windows = [OpenWindow(each.start, each.end, value) for each, value in first]
        return Shown(windows=windows, window_count=len(found)) if found else None

    def delete(self, key: Any) -> bool:
        """Delete a key and its windows; return whether it was here."""
        self._index.drop_keys([key])
        return self._state.delete(key)

    # Checkpoints

    def freeze(self, writer: StateWriter) -> None:
        """Freeze what changed: ``writer`` receives it as it is now."""
        self._state.freeze(writer)

    def mark_all_changed(self) -> None:
        """Write every key in the next checkpoint."""
        self._state.mark_all_changed()

    def rewrite(self, keys: Sequence[Any], tag: PaneTag | None) -> bool:
        """Write what is left of a chunk again in the next checkpoint."""
        return self._state.rewrite(keys, tag)

    def tidy(self) -> Iterator[None]:
        """Do nothing: changes are kept as keys."""
        return iter(())

    # Restores

    def begin_restore(self, saved: Sequence[Progress], mine: Sequence[Progress]) -> None:
        """Begin with nothing, as far as all workers had come."""
        clock = restart_of(saved, self._delay_ns).clock
        self._index.restore_clock(clock, min(restart_of(mine, self._delay_ns).fired, clock))

    def fill(self, chunk: StateChunk, fired: int) -> Sequence[tuple[Any, BaseException]]:
        """Add a chunk of a checkpoint, the oldest first."""
        return self._state.fill(chunk, fired)

    def convert(self, convert: Callable[[Any, Any], Any]) -> Iterator[None]:
        """Replace what belongs to the user in each object by what ``convert`` makes of it; ``None``
        drops the key."""
        for key, value in [*self._state.items()]:
            for holder in self._index.holders(value):
                new = convert(key, holder.accumulator)
                if new is None:
                    self._state.remove(key)
                    break
                holder.set_accumulator(new)
            yield

    def drop_restored(self, key: Any, tag: PaneTag | None) -> None:
        """Remove what older chunks have of a key, which cannot be read."""
        self._state.drop_restored(key, tag)

    def end_restore(self) -> None:
        """Index all keys that were restored."""
        self._index.add_keys([*self._state])

    # Moves

    def cursor(self) -> KeyCursor:
        """Return a cursor that reads the keys while records go on."""
        return self._state.cursor()

    def moving(self, keys: Collection[Any], key_count: Callable[[], int]) -> Iterator[StateChunk]:
        """Yield keys with their objects, ``key_count()`` at a time; they stay until ``drop``."""
        return self._state.moving(keys, key_count)

    def drop(self, keys: Iterable[Any]) -> None:
        """Remove keys that another worker owns now."""
        keys = [*keys]
        self._index.drop_keys(keys)
        self._state.drop(keys)

    def take_in(self, givers: Iterable[Moved]) -> None:
        """Add keys that this worker owns now; its checkpoints do not have them yet."""
        for giver in givers:
            clock, fired = giver.progress
            self._index.take_clock(clock, fired if giver.chunks else self._index.fired)
            self._state.take_in([giver])
            for chunk in giver.chunks:
                self._index.add_keys(chunk.keys)
