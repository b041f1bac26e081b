"""Panes in checkpoints and on their way to another worker, as chunks of keys.

A checkpoint writes the layers that no checkpoint has yet. It is frozen at the barrier without
looking at a key, and written some keys at a time while records go on. What an abandoned checkpoint
should have written belongs to the next one.

Chunks of one pane are read back in the order in which they were written, by all workers that the
keys belong to now:

| kind  | time                | what it means                                                |
|-------|---------------------|--------------------------------------------------------------|
| delta | start of the pane   | merged with what is below                                    |
| base  | start of the pane   | replaces what is below by key; ``None``: the key is gone     |
| done  | end of a window     | it is half fired, and these keys have given their results    |

Keys that moved here from another worker are written as a base. As a delta, a key that left and came
back would be counted twice.
"""

import enum
from collections.abc import Callable, Collection, Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple, Protocol

from wallaroo.timing.pane_store import PaneStore
from wallaroo.timing.panes import Failed, Layer, Pane


class ChunkKind(enum.IntEnum):
    """How a chunk goes with what is below it; the value is that of the file."""

    DELTA = 0
    BASE = 1
    DONE = 2


class PaneChunk(NamedTuple):
    """Keys of one pane, or keys that are done of one window."""

    kind: ChunkKind
    time: int
    keys: list[Any]
    accumulators: list[Any]
    """Empty if the keys are done."""


class PaneChanges:
    """What the next checkpoint has to write of one store, and what the running one still has to."""

    def __init__(self, store: PaneStore) -> None:
        self._store = store
        self._round: list[tuple[Pane, Layer]] = []
        """The layers of the running checkpoint."""
        self._chunks: Iterator[PaneChunk] | None = None
        self._key_count_max = 1
        self._write: Callable[[PaneChunk], None] | None = None
        self.error: BaseException | None = None
        """Why the running checkpoint cannot be complete."""

    @property
    def is_writing(self) -> bool:
        """Whether something of the running checkpoint is still to be written."""
        return self._chunks is not None

    def freeze(self, write: Callable[[PaneChunk], None]) -> None:
        """Set aside what there is at the barrier; ``write`` gets it chunk by chunk."""
        assert not self._round, "the last checkpoint was neither committed nor abandoned"
        for pane in self._store.panes():
            pane.set_aside()
            self._round += [(pane, layer) for layer in pane.take_unsaved()]
        self._write, self.error = write, None
        self._chunks = self._all_chunks(self._store.done_keys())

    def write_slice(self, key_count_max: int) -> int:
        """Write up to ``key_count_max`` keys of one layer; return how many were written."""
        if self._chunks is None:
            return 0
        self._key_count_max = key_count_max
        chunk = next(self._chunks, None)
        if chunk is None:
            self._chunks = None
            return 0
        assert self._write is not None
        try:
            self._write(chunk)
        except BaseException as error:  # noqa: BLE001  pickling calls the user's code
            self.error = self.error or error
        return len(chunk.keys)

    def abandon(self) -> None:
        """Put what the running checkpoint should have written into the next one."""
        self._chunks = None
        for pane, layer in reversed(self._round):
            pane.put_back_unsaved(layer)
        self._round = []

    def committed(self) -> None:
        """Note that the running checkpoint is committed."""
        assert not self.is_writing, "not everything is written"
        for _, layer in self._round:
            layer.mark_saved()
        self._round = []

    def _all_chunks(self, done: dict[int, set[Any]]) -> Iterator[PaneChunk]:
        for pane, layer in self._round:
            kind = ChunkKind.BASE if layer.is_base else ChunkKind.DELTA
            items = iter(layer.accumulators.items())
            while chunk := list(islice(items, self._key_count_max)):
                keys = [key for key, _ in chunk]
                yield PaneChunk(kind, pane.start, keys, [each for _, each in chunk])
        for end, keys_done in done.items():
            keys_left = iter(keys_done)
            while keys := list(islice(keys_left, self._key_count_max)):
                yield PaneChunk(ChunkKind.DONE, end, keys, [])


def is_expired(store: PaneStore, chunk: PaneChunk) -> bool:
    """Return whether a chunk of older checkpoints is no longer needed, so that the next checkpoint
    leaves it out for ever.

    This has to be asked before ``take_in``, too, since keys that have not fired elsewhere take
    ``fired`` back. What other keys had in these windows would be alive again.
    """
    if chunk.kind is ChunkKind.DONE:
        return chunk.time <= store.fired
    return store.is_over(chunk.time, store.fired)


def fill(store: PaneStore, chunk: PaneChunk, fired: int) -> list[Failed]:
    """Add what a chunk of a checkpoint has, whose worker had fired up to ``fired``; after
    ``restore_clock``, and the oldest chunk of a worker first. Return keys whose merge failed."""
    if chunk.kind is ChunkKind.DONE:
        store.add_done(chunk.time, chunk.keys)
    elif pane := store.pane_to_fill(chunk.time, chunk.keys, fired):
        is_base = chunk.kind is ChunkKind.BASE
        return pane.restore(chunk.keys, chunk.accumulators, is_base=is_base)
    return []


class SavedPanes(Protocol):
    """What one share of a checkpoint has of a state."""

    @property
    def fired(self) -> int:
        """Up to when windows have fired."""
        ...

    @property
    def chunks(self) -> Iterable[PaneChunk]:
        """Return the chunks, the oldest first."""
        ...


def restore(store: PaneStore, clock: int, shares: Iterable[SavedPanes]) -> None:
    """Fill an empty store from the shares of a checkpoint; the clock is the highest of them."""
    shares = list(shares)
    store.restore_clock(clock, min((share.fired for share in shares), default=clock))
    for share in shares:
        for chunk in share.chunks:
            fill(store, chunk, share.fired)
    store.advance(clock)


def moving(
    store: PaneStore, keys: Collection[Any], key_count: Callable[[], int]
) -> Iterator[PaneChunk]:
    """Yield what another worker needs of keys that move there, ``key_count()`` keys at a time.

    Nothing may change meanwhile. The keys stay here until ``remove``. No checkpoint is written.
    """
    leaving = {*keys}
    for pane in store.panes():
        found = iter(pane.all_keys() & leaving)
        while part := list(islice(found, key_count())):
            accumulators = [pane.folded_key(key) for key in part]
            yield PaneChunk(ChunkKind.BASE, pane.start, part, accumulators)
    for end, done in store.done_keys().items():
        done_found = iter(done & leaving)
        while part := list(islice(done_found, key_count())):
            yield PaneChunk(ChunkKind.DONE, end, part, [])


def remove(store: PaneStore, keys: Iterable[Any]) -> None:
    """Remove keys that have moved to another worker. No checkpoint is written."""
    leaving = {*keys}
    for pane in store.panes():
        pane.remove(leaving)
    store.drop(leaving)


def take_out(store: PaneStore, keys: Iterable[Any]) -> list[PaneChunk]:
    """Remove keys that move to another worker; return what it needs. No checkpoint is written."""
    leaving = {*keys}
    chunks = [*moving(store, leaving, lambda: max(len(leaving), 1))]
    remove(store, leaving)
    return chunks


def take_in(store: PaneStore, chunks: Iterable[PaneChunk], clock: int, fired: int) -> None:
    """Add keys that come from another worker, with its clock and how far it has fired."""
    store.advance(max(store.clock, clock))
    for chunk in chunks:
        if chunk.kind is ChunkKind.DONE:
            store.add_done(chunk.time, chunk.keys)
        elif pane := store.pane_to_fill(chunk.time, chunk.keys, fired):
            pane.put_base(dict(zip(chunk.keys, chunk.accumulators, strict=True)))
