"""The objects of one state on one worker, by canonical key.

Everything that reads or changes objects of a state does so here: chains, checkpoints, restores,
resizes and queries. Today the objects are in a dict. Chains bind that dict itself: a method of ours
between a record and its state would cost 40 ns for each record.

A key is deleted by a computation, or by ``wallaroo-cluster delete``. Then its object is gone at
once, and the next checkpoint holds a tombstone for it (see ``changes``), since older parts may hold
the key.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from wallaroo.operators.changes import StateChanges, StateWriter
from wallaroo.operators.saved_state import Moved, PaneTag, Progress, Shown, StateChunk


class KeyedState(Mapping[Any, Any]):
    """The objects of one state, in the order in which their keys were created."""

    def __init__(
        self, objects: Mapping[Any, Any] | None = None, *, tracks_changes: bool = False
    ) -> None:
        """With ``tracks_changes`` checkpoints are on; nothing counts as changed yet."""
        self.objects: dict[Any, Any] = dict(objects or {})
        """For chains, which look up and add objects. All others use the methods."""
        self.changes = StateChanges(self.objects) if tracks_changes else None
        """What the next checkpoint has to write; ``None`` without checkpoints."""
        self.deleted_count = 0
        """How many keys were removed so far, at most."""

    def __getitem__(self, key: Any) -> Any:
        return self.objects[key]

    def __contains__(self, key: object) -> bool:
        return key in self.objects

    def __iter__(self) -> Iterator[Any]:
        return iter(self.objects)

    def __len__(self) -> int:
        return len(self.objects)

    def cursor(self) -> "KeyCursor":
        """Return a cursor that reads the keys while records go on."""
        return KeyCursor(self)

    @property
    def progress(self) -> Progress | None:
        """Return nothing: it has no time."""
        return None

    # As a checkpoint holds them

    def begin_restore(self, saved: Sequence[Progress], mine: Sequence[Progress]) -> None:
        """Do nothing: it has no time."""

    def fill(self, chunk: StateChunk, fired: int) -> Sequence[tuple[Any, BaseException]]:
        """Add a chunk of a checkpoint, the oldest first; ``None`` is a tombstone."""
        for key, value in zip(chunk.keys, chunk.values, strict=True):
            if value is None:
                self.remove(key)
            else:
                self.put(key, value)
        return ()

    def convert(self, convert: Callable[[Any, Any], Any]) -> Iterator[None]:
        """Replace each object by what ``convert`` makes of it; ``None`` drops the key."""
        for key, old in [*self.objects.items()]:
            new = convert(key, old)
            if new is None:
                self.remove(key)
            else:
                self.put(key, new)
            yield

    def drop_restored(self, key: Any, tag: PaneTag | None) -> None:
        """Remove what older chunks have of a key, which cannot be read."""
        self.remove(key)

    def end_restore(self) -> None:
        """Do nothing: each chunk is complete."""

    def put(self, key: Any, value: Any) -> None:
        """Set the object of a key as a checkpoint holds it: it does not count as changed."""
        self.objects[key] = value

    def remove(self, key: Any) -> None:
        """Remove the object of a key, if there is one, since the checkpoint does not hold it."""
        self.objects.pop(key, None)

    # What changes

    def shown(self, key: Any) -> Shown | None:
        """Return what a query shows of a key, which does not touch it; ``None`` if it is not
        here."""
        value = self.get(key)
        return None if value is None else Shown(value)

    def delete(self, key: Any) -> bool:
        """Delete a key and its object; return whether it was here."""
        if key not in self.objects:
            return False
        if self.changes is not None:
            self.changes.mark_deleted(key)
        del self.objects[key]
        self.deleted_count += 1
        return True

    def replace(self, key: Any, value: Any) -> None:
        """Set the object of a key, which counts as changed."""
        if self.changes is not None:
            self.changes.mark_replaced(key)
        self.objects[key] = value

    def before_change(self, key: Any, *, may_remove: bool = False) -> None:
        """Note that the object of a key is about to change, be set or, perhaps, be removed."""
        self.deleted_count += may_remove
        if self.changes is not None:
            self.changes.mark_deleted(key)

    def mark_changed(self, keys: Iterable[Any]) -> None:
        """Write those of ``keys`` that are here in this or the next checkpoint."""
        if self.changes is not None:
            self.changes.mark_changed([key for key in keys if key in self.objects])

    def mark_all_changed(self) -> None:
        """Write every key in the next checkpoint."""
        self.mark_changed(self.objects)

    def rewrite(self, keys: Sequence[Any], tag: PaneTag | None) -> bool:
        """Write what is left of a chunk again in the next checkpoint."""
        self.mark_changed(keys)
        return True

    def tidy(self) -> Iterator[None]:
        """Do nothing: changes are kept as keys."""
        return iter(())

    def freeze(self, writer: StateWriter) -> None:
        """Freeze the keys that changed: ``writer`` receives their objects as they are now."""
        if self.changes is not None:
            self.changes.freeze(writer)

    # When owners change

    def install(self, objects: Mapping[Any, Any]) -> None:
        """Add keys that this worker owns now; its checkpoints do not have them yet."""
        self.objects.update(objects)
        if self.changes is not None:
            self.changes.add_moved(objects)

    def moving(self, keys: Collection[Any], key_count: Callable[[], int]) -> Iterator[StateChunk]:
        """Yield keys with their objects, ``key_count()`` at a time; they stay until ``drop``."""
        waiting = iter(keys)
        while part := list(islice(waiting, key_count())):
            # Some may have been deleted since they were found.
            found = [key for key in part if key in self.objects]
            yield StateChunk(found, [self.objects[key] for key in found])

    def take_in(self, givers: Iterable[Moved]) -> None:
        """Add keys that this worker owns now; its checkpoints do not have them yet."""
        for giver in givers:
            for chunk in giver.chunks:
                self.install(dict(zip(chunk.keys, chunk.values, strict=True)))

    def drop(self, keys: Iterable[Any]) -> None:
        """Remove keys that another worker owns now."""
        for key in keys:
            self.objects.pop(key, None)
            self.deleted_count += 1
        if self.changes is not None:
            self.changes.drop(keys)


class KeyCursor:
    """Reads the keys of a state in the order of their creation, in slices, while keys come and go.

    A dict can be read on in order only until a key is added. So the keys that are there at first
    are copied, which takes 6 ms for a million. Later ones are at the end of the dict. A key that is
    deleted meanwhile may be read or not, but none is read twice.
    """

    def __init__(self, state: KeyedState) -> None:
        self._state = state
        self._keys: list[Any] = [*state]
        self._position = 0
        self._deleted_before = state.deleted_count

    def is_at_end(self, position: int) -> bool:
        """Return whether no key has the number ``position``, or a higher one."""
        if position >= len(self._keys):
            self._find_late()
        return position >= len(self._keys)

    def read(self, count: int) -> list[Any]:
        """Return the next ``count`` keys; fewer if there are no more."""
        keys = self.at(self._position, count)
        self._position += len(keys)
        return keys

    def at(self, first: int, count: int) -> list[Any]:
        """Return ``count`` keys from number ``first`` on; fewer if there are no more."""
        if first + count > len(self._keys):
            self._find_late()
        return self._keys[first : first + count]

    def _find_late(self) -> None:
        # Deleted keys may have been among ours, or not, so look at as many more. Those that were
        # deleted and created again are at the end of the dict, too.
        deleted_count = self._state.deleted_count - self._deleted_before
        late_count = len(self._state) - len(self._keys) + deleted_count
        late = [*islice(reversed(self._state.objects), late_count)][::-1]
        if deleted_count:
            known = set(late).intersection(self._keys)
            late = [key for key in late if key not in known]
        self._keys += late
