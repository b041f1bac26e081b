"""Runs panes on two workers: checkpoints, crashes, moves of keys, half-fired windows.

Input is a list of records whose disorder stays within a bound, so nothing is late. A crash takes
both workers back to the last committed checkpoint: what they gave after it never happened, and the
input after it is read again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.wallaroo.timing.windowed import Result
from wallaroo.testing.model import Contents, TimedRecord
from wallaroo.timing.instants import BEFORE_ALL, END
from wallaroo.timing.pane_saving import (
    ChunkKind,
    PaneChanges,
    PaneChunk,
    is_expired,
    restore,
    take_in,
    take_out,
)
from wallaroo.timing.pane_store import PaneStore
from wallaroo.timing.window_spec import ResultKind, WindowSpec

KEYS = "abc"


@dataclass
class Share:
    """What a checkpoint has of one worker: the chunks of all rounds, and how far it had fired."""

    chunks: list[PaneChunk] = field(default_factory=list)
    fired: int = BEFORE_ALL

    def write(self, chunk: PaneChunk) -> None:
        self.chunks.append(_copied(chunk))


@dataclass
class Cut:
    """A checkpoint of both workers."""

    shares: list[Share]
    clock: int
    position: int
    result_count: int
    owners: dict[Any, int]


class PaneRun:
    def __init__(self, spec: WindowSpec, records: Sequence[TimedRecord], bound: int) -> None:
        self._spec, self._records, self._bound = spec, records, bound
        self._position = 0
        self._top = BEFORE_ALL
        self._owners = dict.fromkeys(KEYS, 0)
        self._results: list[Result] = []
        self._committed = Cut([Share(), Share()], BEFORE_ALL, 0, 0, dict(self._owners))
        self._adopted = [Share(), Share()]
        """What the next checkpoint is on top of; after a crash the keys may have moved."""
        self._running: Cut | None = None
        self._fresh_stores()

    def finish(self) -> Counter[Any]:
        """Take all input, fire all windows; return the final results."""
        while self._position < len(self._records):
            self.take_record()
        for store in self._stores:
            store.advance(END)
        while any(store.is_due for store in self._stores):
            self.fire(0, 3)
            self.fire(1, 3)
        assert all(store.fired == END and not store.panes() for store in self._stores)
        finals = [each for each in self._results if each[4] is ResultKind.FINAL]
        assert len(finals) == len(self._results)
        return Counter((key, start, end, value) for key, value, start, end, _ in finals)

    def take_record(self) -> None:
        if self._position == len(self._records):
            return
        key, time, value = self._records[self._position]
        self._position += 1
        self._stores[self._owners[key]].add(key, value, time)
        self._top = max(self._top, time)
        assert all(store.late_count == 0 for store in self._stores)

    def advance(self) -> None:
        for store in self._stores:
            store.advance(max(store.clock, self._top - self._bound))

    def fire(self, worker: int, key_count_max: int) -> None:
        store = self._stores[worker]
        fired = store.fire_some(key_count_max)
        if fired is not None:
            assert len(fired.keys) <= key_count_max
            for key, accumulator in zip(fired.keys, fired.accumulators, strict=True):
                value = "".join(map(str, accumulator))
                window = fired.window
                self._results.append((key, value, window.start, window.end, fired.kind))
        assert store.fired <= store.clock

    def freeze(self) -> None:
        if self._running is not None:
            return
        self._expire_chunks()
        shares = [
            Share([*share.chunks], store.fired)
            for share, store in zip(self._adopted, self._stores, strict=True)
        ]
        clock = max(store.clock for store in self._stores)
        owners = dict(self._owners)
        self._running = Cut(shares, clock, self._position, len(self._results), owners)
        for share, changes in zip(shares, self._changes, strict=True):
            changes.freeze(share.write)

    def write(self, key_count: int) -> None:
        for changes in self._changes:
            changes.write_slice(key_count)

    def commit(self) -> None:
        if self._running is not None:
            self._write_all()
            for changes in self._changes:
                changes.committed()
            self._committed, self._running = self._running, None
            self._adopted = self._committed.shares

    def abandon(self) -> None:
        if self._running is not None:
            for changes in self._changes:
                changes.abandon()
            self._running = None

    def crash(self) -> None:
        """Take all workers back; keys may have other owners afterwards."""
        cut, self._running = self._committed, None
        self._position = cut.position
        del self._results[cut.result_count :]
        self._top = max((each.time for each in self._records[: cut.position]), default=BEFORE_ALL)
        self._fresh_stores()
        for worker, store in enumerate(self._stores):
            shares = [
                Share(
                    [
                        _of_keys(chunk, cut.owners, giver, self._owners, worker)
                        for chunk in share.chunks
                    ],
                    share.fired,
                )
                for giver, share in enumerate(cut.shares)
            ]
            restore(store, cut.clock, shares)
        self._adopted = [self._adopted_by(worker, cut) for worker in range(len(self._stores))]

    def move(self, key: Any) -> None:
        """Move a key to the other worker; not while a checkpoint is written."""
        if self._running is not None:
            return
        giver = self._owners[key]
        taker = self._owners[key] = 1 - giver
        chunks = take_out(self._stores[giver], [key])
        store = self._stores[giver]
        self._expire_chunks()
        take_in(self._stores[taker], chunks, store.clock, store.fired)
        assert self._stores[giver].get(key, 1) == ([], 0)

    def merge_layers(self) -> None:
        for store in self._stores:
            for pane in store.panes():
                if pair := pane.layers_to_merge(layers_max=1):
                    for _ in pane.merged(*pair, 2):
                        pass

    def _expire_chunks(self) -> None:
        self._adopted = [
            Share([chunk for chunk in share.chunks if not is_expired(store, chunk)])
            for share, store in zip(self._adopted, self._stores, strict=True)
        ]

    def _adopted_by(self, worker: int, cut: Cut) -> Share:
        chunks = [
            _of_keys(chunk, cut.owners, giver, self._owners, worker)
            for giver, share in enumerate(cut.shares)
            for chunk in share.chunks
        ]
        return Share(chunks)

    def _write_all(self) -> None:
        while any(changes.is_writing for changes in self._changes):
            self.write(2)
        assert all(changes.error is None for changes in self._changes)

    def _fresh_stores(self) -> None:
        self._stores = [PaneStore(self._spec, tracks_changes=True) for _ in self._adopted]
        self._changes = [PaneChanges(store) for store in self._stores]


def _copied(chunk: PaneChunk) -> PaneChunk:
    accumulators = [[*each] if isinstance(each, list) else each for each in chunk.accumulators]
    return chunk._replace(keys=[*chunk.keys], accumulators=accumulators)


def _of_keys(
    chunk: PaneChunk, saved_owners: dict[Any, int], giver: int, owners: dict[Any, int], worker: int
) -> PaneChunk:
    """Return the keys of a chunk that its worker owned at the cut, and that this one owns now."""
    kept = [
        index
        for index, key in enumerate(chunk.keys)
        if saved_owners[key] == giver and owners[key] == worker
    ]
    accumulators = chunk.accumulators and [chunk.accumulators[index] for index in kept]
    chunk = chunk._replace(keys=[chunk.keys[index] for index in kept], accumulators=accumulators)
    assert chunk.kind is ChunkKind.DONE or len(chunk.keys) == len(chunk.accumulators)
    return _copied(chunk)


def expected(contents: Contents) -> Counter[Any]:
    return Counter(
        (key, start, end, "".join(map(str, values)))
        for (key, start, end), values in contents.items()
    )
