"""Which keys of a state changed since the last checkpoint, and which are still to be written.

Each key that ever changed has a mark, which says in which round it did last, and stands in the list
of that round. At a barrier the list is frozen, which takes no time however long it is: the next
round has another list and another mark. What is frozen is written in slices between the batches,
while records go on; of a key that is about to change a copy is kept and written later (copy on
write, by key). So a checkpoint holds every state as it was at the barrier, and the record path
waits for one slice, or one copy, at a time.

Nothing here takes long for a million keys: a dict of the changed keys of each round would grow
anew each time, 30 ms at a time in the end, and lists of as many keys are let go chunk by chunk.
"""

from collections.abc import Callable, Iterable
from typing import Any

STALE_AT_ONCE = 4
"""So many times the keys wanted are looked at for keys that are not written yet."""

WriteChunk = Callable[[list[Any], list[Any]], None]
"""Takes keys and their states, which may change as soon as it returns."""

CopyState = Callable[[Any, Any], bytes]
"""Takes a key and its state, which is about to change."""


class StateChanges:
    """The keys of one state on one worker. ``write`` is given what a checkpoint is to hold."""

    def __init__(self, states: dict[Any, Any]) -> None:
        self._states = states
        self.marks: dict[Any, object] = {}
        """``now``, ``then``, or ``None`` where it is written."""
        self.now = object()
        """The mark of keys that changed since the last barrier."""
        self.then = object()
        """Of those that changed before it and are not written."""
        self.changed: list[Any] = []
        """Those marked ``now``, some perhaps twice, and some that were dropped."""
        self.frozen: list[Any] = []
        """Those marked ``then``, and some that are written."""
        self._copies: dict[Any, bytes] = {}
        """Of frozen keys that have changed since the barrier, and are not yet written."""
        self._written: list[list[Any]] = []
        self._spent: list[list[Any]] = []
        self.error: BaseException | None = None
        """Why the running checkpoint cannot hold all that it should."""
        self.write: WriteChunk = lambda _keys, _states: None
        self.write_copies: Callable[[list[Any], list[bytes]], None] = lambda _keys, _copies: None
        self.copy: CopyState = lambda _key, _state: b""

    @property
    def is_writing(self) -> bool:
        """Whether the running checkpoint lacks keys."""
        return bool(self.frozen or self._copies)

    def freeze(self) -> None:
        """A barrier is here: what changed is to be written as it is now."""
        assert not self.is_writing, "the last checkpoint was neither finished nor abandoned"
        self.frozen, self.changed = self.changed, []
        self.then, self.now = self.now, object()
        self.error = None

    def copy_first(self, key: Any) -> None:
        """Keep a copy of the state of ``key``, which is marked ``then`` and about to change."""
        # A chunk of one key would cost twice as much.
        self.marks[key] = None
        try:
            self._copies[key] = self.copy(key, self._states[key])
        except BaseException as error:  # noqa: BLE001  the state is the user's; the record is innocent
            self._written.append([key])
            self.error = self.error or error

    def write_some(self, key_count_max: int) -> int:
        """Write so many frozen keys, copies first; return how many there were."""
        if self._copies:
            # popitem() remembers where it was; an iterator would look through all that is gone.
            pop = self._copies.popitem
            taken = [pop() for _ in range(min(key_count_max, len(self._copies)))]
            copies = [copy for _, copy in taken]
            self._write([key for key, _ in taken], lambda keys: self.write_copies(keys, copies))
            return len(taken)
        keys = self._unwritten(key_count_max)
        if keys:
            states = self._states
            self._write(keys, lambda keys: self.write(keys, [states[key] for key in keys]))
        return len(keys)

    def _unwritten(self, count_max: int) -> list[Any]:
        """Take keys from the end of the frozen list; perhaps none, though there are."""
        looked_at = self.frozen[-STALE_AT_ONCE * count_max :]
        marks, then = self.marks, self.then
        keys: list[Any] = []
        while looked_at and len(keys) < count_max:
            key = looked_at.pop()
            if marks.get(key) is then:
                marks[key] = None
                keys.append(key)
        self.frozen[-STALE_AT_ONCE * count_max :] = looked_at
        return keys

    def abandon(self) -> None:
        """There will be no such checkpoint: what it was to hold belongs to the next."""
        # A key that was dropped has no mark, though it may stand in the list.
        frozen = [key for key in self.frozen if key in self.marks]
        for keys in (frozen, [*self._copies], *self._written):
            self.changed += keys
            self.marks.update(dict.fromkeys(keys, self.now))
        self.frozen.clear()
        self._copies.clear()
        self._written = []

    def committed(self) -> None:
        """The checkpoint stands."""
        assert not self.is_writing
        self._spent += self._written
        self._written = []

    def changed_too(self, keys: Iterable[Any]) -> None:
        """Have a checkpoint to come hold these keys, though no record has changed them."""
        marks, now, then = self.marks, self.now, self.then
        for key in keys:
            mark = marks.get(key)
            # What the running checkpoint is still to write it holds anyway.
            if mark is not now and mark is not then:
                marks[key] = now
                self.changed.append(key)

    def took_in(self, keys: Iterable[Any]) -> None:
        """These keys were another worker's: they have no mark yet, and none is being written."""
        keys = list(keys)
        self.marks.update(dict.fromkeys(keys, self.now))
        self.changed += keys

    def drop(self, keys: Iterable[Any]) -> None:
        """These keys are another worker's now; they may stand in the list all the same."""
        assert not self.is_writing, "a checkpoint is being taken"
        for key in keys:
            self.marks.pop(key, None)

    def _write(self, keys: list[Any], write: Callable[[list[Any]], None]) -> None:
        self._written.append(keys)
        if self._spent:
            self._spent.pop()
        try:
            write(keys)
        except BaseException as error:  # noqa: BLE001  the state is the user's; the record is innocent
            self.error = self.error or error
