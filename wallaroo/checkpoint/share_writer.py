"""Saves a worker's share of a checkpoint, while records go on.

order --> sources noted, barriers sent --> aligned: changed keys frozen, staged output cut
      --> frozen keys written slice by slice, parts put into the store as they fill
      --> parts durable, output before the barrier has reached the sinks --> ``on_saved``

Nothing waits here. Parts leave by ``put``; what became of each is told to ``stored``, and what
became of the output to ``reached_sinks``. Answers of a checkpoint that was abandoned are dropped
there.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from wallaroo.checkpoint.manifest import (
    JournalPosition,
    PartRef,
    StagedOutput,
    WorkerCheckpoint,
    part_name,
)
from wallaroo.checkpoint.parts import (
    PART_HEADER,
    encode_chunk,
    encode_copies,
    pickle_state,
    read_part,
)
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.checkpoint.store import PartStore, Pause
from wallaroo.describing import error_text
from wallaroo.errors import StateObjectError, WallarooError
from wallaroo.metrics.tally import Counts
from wallaroo.names import NO_BARRIER, CheckpointId, Epoch, WorkerName
from wallaroo.operators.changes import StateChanges
from wallaroo.operators.dataflow import Dataflow
from wallaroo.operators.pacing import Pacer


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes; smaller ones make a simulation see in a hundred keys what happens to millions."""

    part_bytes: int = 8 << 20
    """A part is put into the store when it has about so many bytes."""
    copies_max: int = 2
    keys_spared: int = 10_000
    """Parts may hold so many copies of each key, and so many keys more, before compaction."""
    chunk_keys_max: int = 2000


@dataclass(slots=True)
class _Buffer:
    """Chunks of one state that are not in the store yet."""

    chunks: list[bytes] = field(default_factory=lambda: [PART_HEADER])
    byte_count: int = len(PART_HEADER)
    key_count: int = 0


@dataclass(frozen=True, slots=True)
class Before:
    """What was noted when the barrier passed the sources of this worker."""

    journals: list[JournalPosition]
    sources: dict[int, Any]


@dataclass(slots=True)
class _Share:
    """What there is so far of one checkpoint."""

    checkpoint: CheckpointId
    before: Before
    buffers: list[_Buffer]
    key_counts: dict[str, int]
    counts: dict[str, Counts]
    parts: list[PartRef] = field(default_factory=list)
    being_stored: set[str] = field(default_factory=set)
    staged: list[StagedOutput] | None = None
    """``None`` until output before the barrier has reached the sinks."""
    is_written: bool = False
    """All frozen keys are in parts."""
    error: WallarooError | None = None


class ShareWriter:
    """One worker's shares, one checkpoint at a time, for as long as an epoch lasts."""

    def __init__(
        self,
        me: WorkerName,
        epoch: Epoch,
        dataflow: Dataflow,
        clock: Callable[[], float],
        limits: Limits,
        pickler: StatePickler,
    ) -> None:
        self._pickler = pickler
        self._me = me
        self._epoch = epoch
        self._clock = clock
        self._limits = limits
        self._changes = list(dataflow.changes.items())
        self._states = dataflow.states
        self._freeze = dataflow.freeze
        self._counts = dataflow.counts
        self._pacer = Pacer()
        self._share: _Share | None = None
        self._part_count = 0
        self.gave_at = NO_BARRIER
        """The barrier at which keys were given away last."""
        self.inherited: list[StagedOutput] = []
        """Output that workers which left have staged, for the next checkpoint."""
        self.parts: list[PartRef] = []
        """What makes up this worker's state as of the last checkpoint, oldest first."""
        self._new_parts: list[PartRef] = []
        """What the next one adds to that."""
        self._superseded: frozenset[str] = frozenset()
        """Parts of which every key has been changed, or marked so, since the last checkpoint."""
        self._leaving: frozenset[str] = frozenset()
        self._is_compacting = False
        self._held_since_s: float | None = None
        self._copied_s = 0.0
        """Spent on keys that were about to change, since the last slice."""
        self._pause_s = 0.0
        """The longest time for which records waited, since the last share was saved."""
        self.put: Callable[[str, bytes], None] = lambda _name, _data: None
        """Takes an object to the store; ``stored`` is to be told the outcome."""
        self.on_saved: Callable[[WorkerCheckpoint], None] = lambda _: None
        """Called when the share is durable."""
        self.on_failed: Callable[[WallarooError], None] = lambda _: None
        """Called when it cannot be, and nothing of it is on its way any more."""
        for index, (name, change) in enumerate(self._changes):
            self._connect(index, name, change)

    # How long records wait

    def hold(self) -> None:
        """Sources wait for a barrier from now on."""
        self._held_since_s = self._clock()

    def go_on(self) -> None:
        """Sources go on."""
        if self._held_since_s is not None:
            self._waited(self._clock() - self._held_since_s)
            self._held_since_s = None

    def _waited(self, seconds: float) -> None:
        self._pause_s = max(self._pause_s, seconds)

    # A checkpoint, from the barrier on

    def freeze(self, checkpoint: CheckpointId, before: Before) -> None:
        """Everything before the barrier is processed: keep what is here now."""
        assert self._share is None, "the last checkpoint was neither finished nor abandoned"
        key_counts = {name: len(states) for name, states in self._states.items()}
        buffers = [_Buffer() for _ in self._changes]
        self._share = _Share(checkpoint, before, buffers, key_counts, self._counts())
        self._leaving, self._superseded = self._superseded, frozenset()
        self._freeze()

    def _connect(self, index: int, name: str, change: StateChanges) -> None:
        def keep(chunk: bytes, key_count: int) -> None:
            assert self._share is not None
            buffer = self._share.buffers[index]
            buffer.chunks.append(chunk)
            buffer.byte_count += len(chunk)
            buffer.key_count += key_count
            if buffer.byte_count >= self._limits.part_bytes:
                self._put(self._share, index)

        def copy(key: Any, state: Any) -> bytes:
            started_s = self._clock()
            copied = pickle_state(key, state, name, self._pickler)
            self._copied_s += self._clock() - started_s
            return copied

        change.write = lambda keys, states: keep(
            encode_chunk(keys, states, name, self._pickler), len(keys)
        )
        change.write_copies = lambda keys, copies: keep(encode_copies(keys, copies), len(keys))
        change.copy = copy

    def save_some(self) -> bool:
        """Write frozen keys for about 2 ms; say whether there are more."""
        self._waited(self._copied_s)
        started_s = self._clock()
        has_more = self._save_slice()
        self._waited(self._clock() - started_s)
        self._copied_s = 0.0
        return has_more

    def _save_slice(self) -> bool:
        assert self._share is not None
        for _, change in self._changes:
            if change.is_writing:
                started = self._clock()
                wanted = min(self._pacer.record_count, self._limits.chunk_keys_max)
                count = change.write_some(wanted)
                self._pacer.observe(count, self._clock() - started)
                return True
        for index, buffer in enumerate(self._share.buffers):
            if buffer.key_count:
                self._put(self._share, index)
        self._share.is_written = True
        self._end_if_whole()
        return False

    def _put(self, share: _Share, index: int) -> None:
        buffer, share.buffers[index] = share.buffers[index], _Buffer()
        name = part_name(share.checkpoint, self._me, self._epoch, index, self._part_count)
        self._part_count += 1
        share.parts.append(
            PartRef(name, share.checkpoint, index, buffer.byte_count, buffer.key_count)
        )
        share.being_stored.add(name)
        self.put(name, b"".join(buffer.chunks))

    def stored(self, name: str, error: WallarooError | None) -> None:
        """An object given to ``put`` is durable, or could not be made so."""
        share = self._share
        if share is not None and name in share.being_stored:
            share.being_stored.remove(name)
            share.error = share.error or error
            self._end_if_whole()

    def reached_sinks(self, checkpoint: CheckpointId, staged: list[StagedOutput]) -> None:
        """Output before the barrier is where it cannot be lost."""
        if self._share is not None and self._share.checkpoint == checkpoint:
            self._share.staged = staged
            self._end_if_whole()

    def _end_if_whole(self) -> None:
        share = self._share
        if share is None or not share.is_written or share.being_stored or share.staged is None:
            return
        self._share = None
        for name, change in self._changes:
            if change.error is not None:
                share.error = share.error or _as_told(name, change.error)
        if share.error is not None:
            self.on_failed(share.error)
            return
        self._new_parts = share.parts
        pause_s, self._pause_s = self._pause_s, 0.0
        kept = [part for part in self.parts if part.name not in self._leaving]
        self.on_saved(
            WorkerCheckpoint(
                worker=self._me,
                parts=kept + share.parts,
                journals=share.before.journals,
                sources=share.before.sources,
                staged=self.inherited + share.staged,
                key_counts=share.key_counts,
                pause_s=pause_s,
                counts=share.counts,
                gave_at=self.gave_at,
            )
        )

    def committed(self) -> None:
        """The checkpoint stands."""
        started_s = self._clock()
        self.inherited = []
        self.parts = [part for part in self.parts if part.name not in self._leaving]
        self.parts += self._new_parts
        self._new_parts = []
        self._leaving = frozenset()
        for _, change in self._changes:
            change.committed()
        self._waited(self._clock() - started_s)

    def abandon(self) -> None:
        """There will be no such checkpoint."""
        self._share = None
        self._new_parts = []
        for _, change in self._changes:
            change.abandon()
        # Their keys count as changed again, so the next checkpoint can leave these parts out too.
        self._superseded |= self._leaving
        self._leaving = frozenset()

    # Between checkpoints

    def all_changed(self) -> None:
        """Nothing of what is held here stands in parts of this worker's own."""
        self.parts = []
        for name, change in self._changes:
            change.changed_too(self._states[name])

    async def compact(self, store: PartStore, pause: Pause) -> None:
        """Mark the keys of the oldest parts as changed where parts hold much more than there is.

        What is written anew for the next checkpoint makes those parts superfluous. So a restore
        reads at most some two copies of each key, however long a run lasts, and nothing is ever
        rewritten in one go.
        """
        if self._is_compacting:
            return
        self._is_compacting = True
        try:
            for part in self._surplus():
                data = await store.get(part.name)
                for chunk in read_part(data, part, store.describe(part.name)):
                    name, change = self._changes[part.state]
                    change.changed_too(_known(chunk.keys(), self._states[name]))
                    await pause(0)
                self._superseded |= {part.name}
        finally:
            self._is_compacting = False

    def _surplus(self) -> list[PartRef]:
        """Return the oldest parts without which there would not be too many."""
        gone = self._superseded | self._leaving
        parts = [part for part in self.parts if part.name not in gone]
        surplus = sum(part.key_count for part in parts) - self._limits.keys_spared
        surplus -= self._limits.copies_max * sum(map(len, self._states.values()))
        oldest: list[PartRef] = []
        for part in parts:
            if surplus <= 0:
                break
            surplus -= part.key_count
            oldest.append(part)
        return oldest


def _known(keys: Iterable[Any], states: dict[Any, Any]) -> list[Any]:
    return [key for key in keys if key in states]


def _as_told(state: str, error: BaseException) -> WallarooError:
    if isinstance(error, WallarooError):
        return error
    return StateObjectError(f"state {state!r} cannot be saved: {error_text(error)}")
