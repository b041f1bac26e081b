"""The windows of a state that are stored by time, as checkpoints and moves know them.

See ``wallaroo.timing.pane_saving`` for what is written, and in what order it is read back.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from wallaroo.operators.changes import StateWriter
from wallaroo.operators.saved_state import (
    WINDOWS_SHOWN_MAX,
    Moved,
    OpenWindow,
    PaneTag,
    Progress,
    Shown,
    StateChunk,
    restart_of,
)
from wallaroo.timing import pane_saving
from wallaroo.timing.instants import END
from wallaroo.timing.pane_saving import ChunkKind, PaneChanges, PaneChunk
from wallaroo.timing.pane_store import PaneStore
from wallaroo.timing.panes import Layer

TIDY_KEYS = 500
"""Keys whose accumulators are merged before records run again."""


class PaneState:
    """The panes of one state on one worker."""

    def __init__(self, store: PaneStore, *, tracks_changes: bool, delay_ns: int) -> None:
        """With ``tracks_changes`` checkpoints are on, for the store as well."""
        self._store = store
        self._delay_ns = delay_ns
        self.changes = PaneChanges(store) if tracks_changes else None

    @property
    def progress(self) -> Progress:
        """Return how far it is in time."""
        return Progress(self._store.clock, self._store.fired)

    def __len__(self) -> int:
        """Return how many accumulators it has; a key has one in each of its panes, or several."""
        return sum(len(each.live) + sum(map(len, _dicts(each.layers))) for each in self._panes())

    # Requests

    def shown(self, key: Any) -> Shown | None:
        """Return the windows of a key that have not fired; ``None`` if there are none."""
        found, count = self._store.get(key, WINDOWS_SHOWN_MAX)
        windows = [OpenWindow(each.start, each.end, value) for each, value in found]
        return Shown(windows=windows, window_count=count) if count else None

    def delete(self, key: Any) -> bool:
        """Delete a key and its windows; return whether it was here."""
        return self._store.delete(key)

    # Checkpoints

    def freeze(self, writer: StateWriter) -> None:
        """Freeze what changed: ``writer`` receives it as it is now."""
        assert self.changes is not None
        self.changes.freeze(lambda chunk: writer.write_pane(chunk, self._kept_until(chunk)))

    def _kept_until(self, chunk: PaneChunk) -> int:
        is_done = chunk.kind is ChunkKind.DONE
        return chunk.time if is_done else self._store.kept_until(chunk.time)

    def mark_all_changed(self) -> None:
        """Write every key in the next checkpoint."""
        for pane in self._panes():
            pane.mark_unsaved()

    def rewrite(self, keys: Sequence[Any], tag: PaneTag | None) -> bool:
        """Write what is left of a chunk again in the next checkpoint; return whether it is."""
        assert tag is not None
        # All keys that are done are in each checkpoint.
        if tag.kind is ChunkKind.DONE:
            return True
        try:
            return self._store.rebase(tag.time, keys)
        except BaseException:  # noqa: BLE001  the user's merge; the window reports it when it fires
            return False

    def tidy(self) -> Iterator[None]:
        """Merge what checkpoints have set aside, in small steps between which records run."""
        for pane in self._panes():
            while (pair := pane.layers_to_merge()) is not None:
                layer_count = len(pane.layers)
                yield from pane.merged(*pair, TIDY_KEYS)
                if len(pane.layers) >= layer_count:
                    break

    # Restores

    def begin_restore(self, saved: Sequence[Progress], mine: Sequence[Progress]) -> None:
        """Begin with nothing, as far as all workers had come."""
        clock = restart_of(saved, self._delay_ns).clock
        self._store.restore_clock(clock, min(restart_of(mine, self._delay_ns).fired, clock))

    def fill(self, chunk: StateChunk, fired: int) -> Sequence[tuple[Any, BaseException]]:
        """Add a chunk of a checkpoint, whose worker had fired up to ``fired`` then; return the keys
        that are lost, since the user's code failed."""
        # Nothing is left open by a worker that has fired everything.
        if not chunk.keys or fired == END:
            return ()
        return pane_saving.fill(self._store, _pane_chunk(chunk), fired)

    def convert(self, convert: Callable[[Any, Any], Any]) -> Iterator[None]:
        """Do nothing: each chunk was converted before it was merged."""
        return iter(())

    def drop_restored(self, key: Any, tag: PaneTag | None) -> None:
        """Remove what older chunks have of a key in its pane, since it cannot be read."""
        assert tag is not None
        gone = StateChunk([key], [None], PaneTag(ChunkKind.BASE, tag.time))
        self.fill(gone, self._store.fired)

    def end_restore(self) -> None:
        """Go on from what was restored."""
        self._store.advance(self._store.clock)

    # Moves

    def cursor(self) -> "PaneCursor":
        """Return a cursor that reads the keys while records go on."""
        return PaneCursor(self._store)

    def moving(self, keys: Collection[Any], key_count: Callable[[], int]) -> Iterator[StateChunk]:
        """Yield what moves with these keys, ``key_count()`` keys at a time; they stay until
        ``drop``."""
        for kind, time, found, accumulators in pane_saving.moving(self._store, keys, key_count):
            yield StateChunk(found, accumulators, PaneTag(kind, time))

    def drop(self, keys: Iterable[Any]) -> None:
        """Remove keys that another worker owns now."""
        pane_saving.remove(self._store, keys)

    def take_in(self, givers: Iterable[Moved]) -> None:
        """Add keys that this worker owns now; its checkpoints do not have them yet."""
        for giver in givers:
            chunks = map(_pane_chunk, giver.chunks)
            pane_saving.take_in(self._store, chunks, *giver.progress)

    def _panes(self) -> Any:
        return self._store.panes()


class PaneCursor:
    """Reads the keys of all panes, each once.

    A layer never changes, so it is read in slices while records go on. What records have added
    since is read once all else is read.
    """

    def __init__(self, store: PaneStore) -> None:
        self._store = store
        self._keys: list[Any] = []
        self._position = 0
        self._seen: set[Any] = set()
        self._read: dict[int, Layer] = {}
        """Layers that were read, by identity, which they keep while they are here."""
        self._unread = self._find()

    def at(self, first: int, count: int) -> list[Any]:
        """Return ``count`` keys from number ``first`` on; fewer if there are no more."""
        missing = first + count - len(self._keys)
        if missing > 0:
            found = [*islice(self._unread, missing)]
            if len(found) < missing:
                self._unread = self._find()
            self._keys += found
        return self._keys[first : first + count]

    def is_at_end(self, position: int) -> bool:
        """Return whether no key has the number ``position``, or a higher one."""
        return not self.at(position, 1)

    def read(self, count: int) -> list[Any]:
        """Return the next ``count`` keys; fewer if there are no more for now."""
        keys = self.at(self._position, count)
        self._position += len(keys)
        return keys

    def _find(self) -> Iterator[Any]:
        for pane in self._store.panes():
            pane.set_aside()
            for layer in [*pane.layers]:
                if id(layer) not in self._read:
                    for key in [*layer.accumulators]:
                        if key not in self._seen:
                            self._seen.add(key)
                            yield key
                    self._read[id(layer)] = layer


def _dicts(layers: Iterable[Layer]) -> Iterator[dict[Any, Any]]:
    return (layer.accumulators for layer in layers)


def _pane_chunk(chunk: StateChunk) -> PaneChunk:
    assert chunk.tag is not None
    kind, time = chunk.tag
    return PaneChunk(kind, time, [*chunk.keys], [*chunk.values])
