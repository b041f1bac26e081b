"""The objects of one state on one worker, by canonical key.

Everything that reads or changes objects of a state does so here: chains, checkpoints, restores,
resizes and queries. Today the objects are in a dict. Chains bind that dict itself: a method of ours
between a record and its state would cost 40 ns for each record.
"""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from wallaroo.operators.changes import StateChanges, StateWriter


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

    # As a checkpoint holds them

    def put(self, key: Any, value: Any) -> None:
        """Set the object of a key as a checkpoint holds it: it does not count as changed."""
        self.objects[key] = value

    def remove(self, key: Any) -> None:
        """Remove the object of a key, if there is one, since the checkpoint does not hold it."""
        self.objects.pop(key, None)

    # What changes

    def mark_changed(self, keys: Iterable[Any]) -> None:
        """Write those of ``keys`` that are here in this or the next checkpoint."""
        if self.changes is not None:
            self.changes.mark_changed([key for key in keys if key in self.objects])

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

    def drop(self, keys: Iterable[Any]) -> None:
        """Remove keys that another worker owns now."""
        for key in keys:
            del self.objects[key]
        if self.changes is not None:
            self.changes.drop(keys)


class KeyCursor:
    """Reads the keys of a state in the order of their creation, in slices, while others are added.

    A dict can be read on in order only until a key is added. So the keys that are there at first
    are copied, which takes 6 ms for a million. Later ones are at the end of the dict.
    """

    def __init__(self, state: KeyedState) -> None:
        self._state = state
        self._keys: list[Any] = [*state]
        self._position = 0

    @property
    def key_count(self) -> int:
        """Number of keys that there are to read from the first on."""
        self._find_late()
        return len(self._keys)

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
        late_count = len(self._state) - len(self._keys)
        self._keys += [*islice(reversed(self._state.objects), late_count)][::-1]
