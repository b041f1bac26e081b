"""Which keys of a state changed since the last checkpoint, and which are still to be written.

Each key that ever changed has a mark that names the round in which it changed last, and it is in
the list of that round. At a barrier the list is frozen: the next round gets another list and
another mark, so freezing takes no time however long the list is. Frozen keys are written in slices
between batches while records go on. If a frozen key is about to change, a pickled copy of its old
value is kept first (copy on write, by key). A key that was deleted is written as a **tombstone**:
``None`` instead of an object. It has a mark only until then. So a checkpoint holds every state as
it was at the barrier, and the record path waits for one slice, or one copy, at a time.

No call takes long with a million keys. That is why keys have marks: a dict of the changed keys of
each round was resized again each time, up to 30 ms at once. It is also why lists of keys are freed
chunk by chunk (``_spent``), and not all at once when a checkpoint is committed.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from wallaroo.timing.pane_saving import PaneChunk

STALE_AT_ONCE = 4
"""A slice looks at no more than this many times the keys it wants, to find unwritten ones."""


class StateWriter(Protocol):
    """Receives what a checkpoint holds of one state; if it raises, the checkpoint fails."""

    def write(self, keys: list[Any], states: list[Any]) -> None:
        """Write keys and their states, which may change as soon as this returns; ``None`` is a
        tombstone."""
        ...

    def write_copies(self, keys: list[Any], copies: list[bytes]) -> None:
        """Write keys and pickles of their states, which ``copy`` has made."""
        ...

    def copy(self, key: Any, state: Any) -> bytes:
        """Return a pickle of a key's state, which is about to change, or of a tombstone."""
        ...

    def write_pane(self, chunk: PaneChunk, until: int) -> None:
        """Write keys of a pane, which are needed until everything has fired up to ``until``."""
        ...


class StateChanges:
    """The changed keys of one state on one worker, and those that a checkpoint still has to
    write."""

    def __init__(self, states: Mapping[Any, Any]) -> None:
        self._states = states
        self.marks: dict[Any, object] = {}
        """``current_mark``, ``frozen_mark``, or ``None`` for a key that is written."""
        self.current_mark = object()
        """The mark of keys that changed since the last barrier."""
        self.frozen_mark = object()
        """The mark of keys that changed before it and are not written yet."""
        self.changed: list[Any] = []
        """Keys marked as current. A key may be in it twice, and some may have been dropped."""
        self.frozen: list[Any] = []
        """Keys marked as frozen, and some that are written by now."""
        self._copies: dict[Any, bytes] = {}
        """Pickled states of frozen keys that have changed since the barrier, not written yet."""
        self._written: list[list[Any]] = []
        """Keys written for the running checkpoint, for the case that it is abandoned."""
        self._spent: list[list[Any]] = []
        """Lists of keys of committed checkpoints, which are freed one by one."""
        self._has_deleted = False
        """Whether any key was ever deleted."""
        self.error: BaseException | None = None
        """Why the running checkpoint cannot be complete."""
        self._writer: StateWriter | None = None
        """Of the running checkpoint."""

    @property
    def is_writing(self) -> bool:
        """Whether keys of the running checkpoint are still to be written."""
        return bool(self.frozen or self._copies)

    def freeze(self, writer: StateWriter) -> None:
        """Freeze all keys that changed before this barrier: ``writer`` gets them as they are
        now."""
        assert not self.is_writing, "the last checkpoint was neither finished nor abandoned"
        self.frozen, self.changed = self.changed, []
        self.frozen_mark, self.current_mark = self.current_mark, object()
        self.error = None
        self._writer = writer

    def copy_first(self, key: Any) -> None:
        """Keep a copy of the state of ``key``, which is frozen and about to change."""
        # Copies are written together later: a chunk for one key would cost twice as much.
        assert self._writer is not None
        self.marks[key] = None
        try:
            self._copies[key] = self._writer.copy(key, self._states.get(key))
        except BaseException as error:  # noqa: BLE001  the state is the user's; the record is innocent
            self._written.append([key])
            self.error = self.error or error

    def write_slice(self, key_count_max: int) -> int:
        """Write up to ``key_count_max`` frozen keys, copies first; return how many were written."""
        if not self.is_writing:
            return 0
        writer = self._writer
        assert writer is not None
        if self._copies:
            # popitem() remembers its place; an iterator would skip all removed entries each time.
            pop = self._copies.popitem
            taken = [pop() for _ in range(min(key_count_max, len(self._copies)))]
            copies = [copy for _, copy in taken]
            self._write([key for key, _ in taken], lambda keys: writer.write_copies(keys, copies))
            return len(taken)
        keys = self._unwritten(key_count_max)
        if keys:
            state_of = self._states.get
            self._write(keys, lambda keys: writer.write(keys, [state_of(key) for key in keys]))
            if self._has_deleted:
                self._forget_marks(keys)
        return len(keys)

    def _forget_marks(self, keys: list[Any]) -> None:
        """Free the marks of deleted keys, whose tombstones are written."""
        for key in keys:
            if key not in self._states:
                del self.marks[key]

    def _unwritten(self, count_max: int) -> list[Any]:
        """Take unwritten keys from the end of the frozen list; perhaps none, even if some
        remain."""
        looked_at = self.frozen[-STALE_AT_ONCE * count_max :]
        marks, frozen_mark = self.marks, self.frozen_mark
        keys: list[Any] = []
        while looked_at and len(keys) < count_max:
            key = looked_at.pop()
            if marks.get(key) is frozen_mark:
                marks[key] = None
                keys.append(key)
        self.frozen[-STALE_AT_ONCE * count_max :] = looked_at
        return keys

    def abandon(self) -> None:
        """Mark all keys of the running checkpoint as changed: they belong to the next one."""
        # A key that was dropped has no mark, but may still be in the list.
        frozen = [key for key in self.frozen if key in self.marks]
        for keys in (frozen, [*self._copies], *self._written):
            self.changed += keys
            self.marks.update(dict.fromkeys(keys, self.current_mark))
        self.frozen.clear()
        self._copies.clear()
        self._written = []

    def committed(self) -> None:
        """Forget the keys of the running checkpoint: it is committed."""
        assert not self.is_writing
        self._spent += self._written
        self._written = []

    def mark_changed(self, keys: Iterable[Any]) -> None:
        """Write these keys in this or the next checkpoint, though no record has changed them."""
        marks, current, frozen = self.marks, self.current_mark, self.frozen_mark
        for key in keys:
            mark = marks.get(key)
            # The running checkpoint is going to write a frozen key anyway.
            if mark is not current and mark is not frozen:
                marks[key] = current
                self.changed.append(key)

    def mark_deleted(self, key: Any) -> None:
        """Write a tombstone for ``key``, which is about to be removed from the states."""
        self._has_deleted = True
        self.mark_replaced(key)

    def mark_replaced(self, key: Any) -> None:
        """Write ``key``, which is about to get another object, in the next checkpoint."""
        mark = self.marks.get(key)
        if self.frozen and mark is self.frozen_mark:
            self.copy_first(key)
        if mark is not self.current_mark:
            self.marks[key] = self.current_mark
            self.changed.append(key)

    def add_moved(self, keys: Iterable[Any]) -> None:
        """Mark keys that moved here from another worker; they have no mark here yet."""
        keys = list(keys)
        self.marks.update(dict.fromkeys(keys, self.current_mark))
        self.changed += keys

    def drop(self, keys: Iterable[Any]) -> None:
        """Forget keys that moved to another worker; the list of changed keys may still hold
        them."""
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
