"""States whose keys are forgotten some time after they were touched.

The objects of a state that expires are in several dicts (see ``timing.expiry``). Checkpoints,
restores, resizes and queries see all of them; chains see the young one. When the keys were touched
is a state of its own, ``STATE~touched``, which checkpoints keep and resizes move like any other. It
has one number for each key, which changes at most four times in a time to live; if the state
expires exactly, it has the time of the last record.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any

from wallaroo.operators.changes import StateChanges
from wallaroo.operators.keyed_state import KeyCursor, KeyedState
from wallaroo.operators.saved_state import StateChunk
from wallaroo.operators.timed_state import TimedState
from wallaroo.timing.expiry import Generations
from wallaroo.timing.instants import BEFORE_ALL
from wallaroo.timing.keyed_timing import Expiry


class ExpiringState(TimedState):
    """A state whose keys are forgotten some time after they were touched."""

    def __init__(
        self, expiry: Expiry, touched: KeyedState, *, has_clock: bool, tracks_changes: bool
    ) -> None:
        super().__init__(has_clock=has_clock, tracks_changes=tracks_changes)
        self.expiry = expiry
        self._touched = touched
        self._generations = Generations(expiry.ttl_ns)
        self.objects = self._generations.young
        if tracks_changes:
            self.changes = StateChanges(self)
        self.expiry_clock = BEFORE_ALL
        """That by which keys expire."""
        self.added_count = 0
        self.expired_count = 0
        self._binds: list[Callable[[], object]] = []
        self.forget_with(touched.delete)

    # All generations as one mapping

    def __getitem__(self, key: Any) -> Any:
        holding = self._generations.holding(key)
        if holding is None:
            raise KeyError(key)
        return holding[key]

    def __contains__(self, key: object) -> bool:
        return self._generations.holding(key) is not None

    def __iter__(self) -> Iterator[Any]:
        return (key for key, _ in self._generations.items())

    def __len__(self) -> int:
        return len(self._generations)

    def cursor(self) -> KeyCursor:
        """Return a cursor that reads the keys while records go on."""
        return _GenerationsCursor(self)

    def put(self, key: Any, value: Any) -> None:
        """Set the object of a key as a checkpoint holds it."""
        (self._generations.holding(key) or self.objects)[key] = value

    def remove(self, key: Any) -> None:
        """Remove the object of a key, since the checkpoint does not hold it."""
        if (holding := self._generations.holding(key)) is not None:
            del holding[key]

    def delete(self, key: Any, *, has_expired: bool = False) -> bool:
        """Delete a key with its timers and alarms; return whether it was here."""
        holding = self._generations.holding(key)
        if holding is not None and holding is not self.objects:
            self.objects[key] = holding.pop(key)
        self.expired_count += has_expired
        return super().delete(key)

    def replace(self, key: Any, value: Any) -> None:
        """Set the object of a key, which counts as changed."""
        self.before_change(key)
        (self._generations.holding(key) or self.objects)[key] = value

    def mark_changed(self, keys: Iterable[Any]) -> None:
        """Write those of ``keys`` that are here in this or the next checkpoint."""
        if self.changes is not None:
            self.changes.mark_changed([key for key in keys if key in self])

    def mark_all_changed(self) -> None:
        """Write every key in the next checkpoint."""
        self.mark_changed([*self])

    def convert(self, convert: Callable[[Any, Any], Any]) -> Iterator[None]:
        """Replace each object by what ``convert`` makes of it; ``None`` drops the key."""
        for key, old in [*self.items()]:
            new = convert(key, old)
            if new is None:
                self.remove(key)
            else:
                self.put(key, new)
            yield

    def moving(self, keys: Collection[Any], key_count: Callable[[], int]) -> Iterator[StateChunk]:
        """Yield keys with their objects, ``key_count()`` at a time; they stay until ``drop``."""
        waiting = iter(keys)
        while part := list(islice(waiting, key_count())):
            found = [key for key in part if key in self]
            yield StateChunk(found, [self[key] for key in found])

    def install(self, objects: Mapping[Any, Any]) -> None:
        """Add keys that this worker owns now; ``rebuild`` finds their generations."""
        super().install(objects)
        self.added_count += len(objects)

    def drop(self, keys: Iterable[Any]) -> None:
        """Remove keys that another worker owns now."""
        keys = list(keys)
        for key in keys:
            if (holding := self._generations.holding(key)) is not None:
                self.objects[key] = holding.pop(key)
        super().drop(keys)

    # What chains call

    def bind(self, bind: Callable[[], object]) -> None:
        """Call ``bind`` now, and whenever ``objects`` is another dict, until ``unbind``."""
        self._binds.append(bind)
        bind()

    def unbind(self) -> None:
        """Forget all chains: they are written again."""
        self._binds.clear()

    def _rebind(self) -> None:
        for bind in self._binds:
            bind()

    @property
    def turns_at(self) -> int:
        """The time from which on ``turn`` has to be called before a key is looked up."""
        return self._generations.turns_at

    def turn(self, time: int) -> None:
        """Note that keys are touched at this time from now on."""
        is_first = self._generations.quarter is None
        if self._generations.turn(time):
            self.objects = self._generations.young
        elif is_first:
            # The time to live of keys that a checkpoint has without one starts now.
            for key in [key for key in self.objects if key not in self._touched]:
                if self.expiry.is_exact:
                    self._touched.replace(key, time)
                else:
                    self._touch(key)
        self._rebind()

    def revive(self, key: Any) -> Any:
        """Return the object of a key that is not in the young dict; ``None`` if there is none."""
        found = self._generations.revive(key)
        if found is not None and not self.expiry.is_exact:
            self._touch(key)
        return found

    def created(self, key: Any) -> None:
        """Note that a chain has made the object of a key."""
        self.added_count += 1
        if not self.expiry.is_exact:
            self._touch(key)

    def _touch(self, key: Any) -> None:
        if self._generations.quarter is not None:
            self._touched.replace(key, self._generations.quarter)

    def is_expired_at(self, key: Any, time: int) -> bool:
        """Note a record at this time, if keys expire exactly; return whether the key has an object
        that it must not find."""
        last = self._touched.get(key)
        if last is None or time > last:
            self._touched.replace(key, time)
        return last is not None and time - last >= self.expiry.ttl_ns

    # What expires

    def advance(self, clock: int) -> None:
        """Let keys expire whose time is over by this clock."""
        self.expiry_clock = max(self.expiry_clock, clock)
        if self._generations.expire(self.expiry_clock):
            self.objects = self._generations.young
            self._rebind()

    @property
    def has_expired(self) -> bool:
        """Return whether ``take_expired`` gives anything."""
        return self._generations.has_expired

    def expires_at(self) -> int | None:
        """Return when the next keys expire; ``None`` if there are none."""
        return self._generations.expires_at()

    def take_expired(self, count_max: int) -> Iterator[tuple[Any, Any]]:
        """Yield keys that are forgotten, with their objects; each is gone when it is given."""
        for _ in range(count_max):
            found = self._generations.next_expired()
            if found is None:
                return
            self.delete(found[0], has_expired=True)
            yield found

    def rebuild(self) -> None:
        """Find the generations of all keys again, after a restore or when keys have moved."""
        times = self._touched
        if self.expiry.is_exact:
            of = self._generations.quarter_of
            self._generations.rebuild({key: of(time) for key, time in times.items()})
        else:
            self._generations.rebuild(times)
        self.objects = self._generations.young
        self._rebind()


class _GenerationsCursor(KeyCursor):
    """Reads the keys of all generations, which have no order together."""

    def __init__(self, state: ExpiringState) -> None:
        super().__init__(state)
        self._expiring = state
        self._added_before = state.added_count

    def _find_late(self) -> None:
        if self._added_before != self._expiring.added_count:
            self._added_before = self._expiring.added_count
            known = set(self._keys)
            self._keys += [key for key in self._expiring if key not in known]
