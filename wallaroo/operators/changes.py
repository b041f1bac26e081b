"""Which keys of a state changed since the last checkpoint, and which are still to be written.

At a barrier the set of changed keys is frozen, which takes no time however many they are. What is
frozen is written in slices between the batches, while records go on; of a key that is about to
change a copy is kept and written later (copy on write, by key). So a checkpoint holds every state
as it was at the barrier, and the record path waits for one slice, or one copy, at a time.
"""

from collections.abc import Callable, Iterable
from typing import Any

WriteChunk = Callable[[list[Any], list[Any]], None]
"""Takes keys and their states, which may change as soon as it returns, or copies of them."""

CopyState = Callable[[Any, Any], Any]
"""Takes a key and its state, which is about to change; returns what ``WriteChunk`` takes for it."""


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
        self._copies: dict[Any, Any] = {}
        """Of frozen keys that have changed since the barrier, and are not yet written."""
        self._written: list[Any] = []
        self.error: BaseException | None = None
        """Why the running checkpoint cannot hold all that it should."""
        self.write: WriteChunk = lambda _keys, _states: None
        self.copy: CopyState = lambda _key, state: state

    @property
    def is_writing(self) -> bool:
        """Whether the running checkpoint lacks keys."""
        return bool(self.frozen or self._copies)

    def freeze(self) -> None:
        """A barrier is here: what changed is to be written as it is now."""
        assert not self.is_writing, "the last checkpoint was neither finished nor abandoned"
        self.frozen, self.changed = self.changed, self.frozen
        self._written = []
        self.error = None

    def copy_first(self, key: Any) -> None:
        """Keep a copy of the state of ``key``, which is about to change."""
        # A chunk of one key would cost twenty times what a key costs in a chunk of many.
        del self.frozen[key]
        try:
            self._copies[key] = self.copy(key, self._states[key])
        except BaseException as error:  # noqa: BLE001  the state is the user's; the record is innocent
            self._written.append(key)
            self.error = self.error or error

    def write_some(self, key_count_max: int) -> int:
        """Write so many frozen keys, copies first; return how many there were."""
        source = self._copies or self.frozen
        # popitem() remembers where it was; an iterator would look through all that is gone.
        taken = [source.popitem() for _ in range(min(key_count_max, len(source)))]
        if not taken:
            return 0
        keys = [key for key, _ in taken]
        if source is self.frozen:
            states = self._states
            self._write(keys, [states[key] for key in keys])
        else:
            self._write(keys, [copy for _, copy in taken])
        return len(keys)

    def abandon(self) -> None:
        """There will be no such checkpoint: what it was to hold belongs to the next."""
        self.changed_too(self.frozen)
        self.changed_too(self._copies)
        self.changed_too(self._written)
        self.frozen.clear()
        self._copies.clear()
        self._written = []

    def committed(self) -> None:
        """The checkpoint stands."""
        assert not self.is_writing
        self._written = []

    def changed_too(self, keys: Iterable[Any]) -> None:
        """Have the next checkpoint hold these keys, though no record has changed them."""
        self.changed.update(dict.fromkeys(keys))

    def _write(self, keys: list[Any], states: list[Any]) -> None:
        self._written += keys
        try:
            self.write(keys, states)
        except BaseException as error:  # noqa: BLE001  the state is the user's; the record is innocent
            self.error = self.error or error
