"""Which keys of a state changed since the last checkpoint, and which are still to be written.

At a barrier the set of changed keys is frozen, which takes no time however many they are. What is
frozen is written in slices between the batches, while records go on; a key that is about to change
is written first (copy on write, by key). So a checkpoint holds every state as it was at the
barrier, and the record path waits for one slice at a time.
"""

from collections.abc import Callable, Iterable
from typing import Any

WRITTEN_ALONG = 31
"""Frozen keys that are written together with one that is about to change: a chunk of one key costs
several times what a key costs in a chunk of many."""

WriteChunk = Callable[[list[Any], list[Any]], None]
"""Takes keys and their states, which may change as soon as it returns."""


class StateChanges:
    """The keys of one state on one worker. ``write`` is given what a checkpoint is to hold."""

    def __init__(self, states: dict[Any, Any]) -> None:
        self._states = states
        # As keys of dicts and not in sets: what is written in which order must not depend on how
        # this very process hashes, or a simulated run could not be repeated in another.
        self.changed: dict[Any, None] = {}
        """Since the last barrier."""
        self.frozen: dict[Any, None] = {}
        """Changed before it, and not yet written."""
        self._written: list[Any] = []
        self.error: Exception | None = None
        """Why the running checkpoint cannot hold all that it should."""
        self.write: WriteChunk = lambda _keys, _states: None

    def freeze(self) -> None:
        """A barrier is here: what changed is to be written as it is now."""
        assert not self.frozen, "the last checkpoint was neither finished nor abandoned"
        self.frozen, self.changed = self.changed, self.frozen
        self._written = []
        self.error = None

    def write_first(self, key: Any) -> None:
        """Write ``key``, which is about to change, and some others with it."""
        del self.frozen[key]
        self._write([key, *self._take(WRITTEN_ALONG)])

    def write_some(self, key_count_max: int) -> int:
        """Write so many frozen keys; return how many there were."""
        keys = self._take(key_count_max)
        if keys:
            self._write(keys)
        return len(keys)

    def abandon(self) -> None:
        """There will be no such checkpoint: what it was to hold belongs to the next."""
        self.changed_too(self.frozen)
        self.changed_too(self._written)
        self.frozen.clear()
        self._written = []

    def committed(self) -> None:
        """The checkpoint stands."""
        assert not self.frozen
        self._written = []

    def changed_too(self, keys: Iterable[Any]) -> None:
        """Have the next checkpoint hold these keys, though no record has changed them."""
        self.changed.update(dict.fromkeys(keys))

    def drop(self, keys: Iterable[Any]) -> None:
        """These keys are another worker's now."""
        assert not self.frozen, "a checkpoint is being taken"
        for key in keys:
            self.changed.pop(key, None)

    def _take(self, count: int) -> list[Any]:
        # popitem() remembers where it was; an iterator would look through all that is gone.
        pop = self.frozen.popitem
        return [pop()[0] for _ in range(min(count, len(self.frozen)))]

    def _write(self, keys: list[Any]) -> None:
        self._written += keys
        states = self._states
        try:
            self.write(keys, [states[key] for key in keys])
        except Exception as error:  # noqa: BLE001  the state is the user's; the record is innocent
            self.error = self.error or error
