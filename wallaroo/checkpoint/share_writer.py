"""Saves a worker's share of a checkpoint while records are being processed.

    hold() --> sources wait, barriers are on their way
    freeze() --> the barrier has passed: the changed keys of all states are frozen, sources go on
    write_slice(), again and again --> frozen keys are pickled between batches; full parts leave
    part_stored() for each part, output_settled() --> share_saved, or share_failed
    committed(), or abandon() --> the outcome of the whole checkpoint

Nothing here waits or does I/O. Parts leave by ``part_written``, and answers come back as calls.

**What can go wrong**

* *A record changes a key that is frozen but not written.* The part would hold a state from behind
  the barrier, and a replay would apply the record twice. So the chain asks for a copy of the old
  state first (``StateChanges.copy_first``).
* *A round fails after keys were written.* The initializer may abandon it because another worker
  failed. Its parts then belong to no manifest, so ``abandon`` marks every one of its keys as
  changed again. Without that a key that never changes again would be missing for ever.
* *Answers arrive late.* A put of an abandoned round may finish during the next one. Names of parts
  are unique within an epoch and output names its checkpoint, so late answers match nothing.
* *A share is reported too early.* The manifest would name a part that a crash can still lose.
* *A failure is reported too early.* The next round could begin while puts of this one are still
  under way, and more parts than one round's would be in memory. So ``share_failed`` waits for them.
* *Compaction drops a part while its keys are only promised to a later one.*
* *A deleted key comes back from an older part.* A part holds it as a tombstone, which removes what
  older parts of this worker hold. So parts leave oldest first: then a part with a tombstone leaves
  with, or after, everything that the tombstone removes.
* *A key comes back that was deleted at another worker.* Its partition moved away from here, the key
  was deleted there, and the partition moved back. Parts of this worker from before still hold the
  key, and the tombstone is in parts of the other worker, which knows nothing of ours. Tombstones
  that travel would have to be kept until no part of any worker can hold the key. Instead, a share
  names the partitions that moved back (``took``), and a restore takes nothing of them from older
  parts: all that was in them when they moved back has been written since.
* *A window fires twice, since keys have moved in that had fired less far.* A part may hold windows
  that are over among others that are not. Which are over follows from how far all has fired, and
  that goes back if such keys move in. So before that, parts in which all is over are dropped, and
  the others note how far their own keys had fired (``PartRef.fired``).

**Invariants**

1. ``_parts``, oldest first, hold every key of this worker as of the last committed checkpoint. If
   several parts hold a key, the last one counts.
2. ``_parts`` changes only in ``committed``, because until then the manifest may never exist, and in
   ``mark_all_changed``, after which the next share is complete by itself. ``restored`` sets it
   before the first round.
3. A share is saved when all frozen keys are in parts, all parts are durable, and the output from
   before the barrier is where a crash cannot lose it. ``_finish_if_complete`` is the only place
   that decides this, and every call that can make one of the three true ends with it.
4. A part is *superseded* once all its keys are marked as changed. The next round writes these keys
   again, so its share leaves the part out: the part is *leaving*. A commit drops it. If the round
   is abandoned, its keys are marked again, so the part is superseded again and still listed. A part
   whose windows have all fired is superseded, too.

**Why this order**

Counts and the number of keys are taken in ``freeze``, because records go on right after it. Copies
are written before other frozen keys, because they take memory and the others do not. Parts are put
as soon as they are full, so a large state never waits in memory as a whole. The pause of a
checkpoint is the longest of four: the wait for the barrier, one slice, all copies between two
slices, and ``committed``. All four are measured here, since only the worker's thread knows them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Protocol

from wallaroo.checkpoint.manifest import (
    ClockShare,
    JournalPosition,
    PartRef,
    SinkShare,
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
from wallaroo.names import NO_BARRIER, CheckpointId, Epoch, PartitionId, WorkerName
from wallaroo.operators.dataflow import Dataflow
from wallaroo.operators.pacing import Pacer
from wallaroo.operators.saved_state import PaneTag
from wallaroo.timing.instants import BEFORE_ALL, END, Instant
from wallaroo.timing.pane_saving import PaneChunk

NO_VECTORS: Mapping[str, list[Any]] = MappingProxyType({})

Took = dict[str, dict[int, list[int]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes; with smaller ones a simulation meets with a hundred keys what others do with
    millions."""

    part_bytes: int = 8 << 20
    """A part is put into the store when it has about this many bytes."""
    copies_max: int = 2
    keys_spared: int = 10_000
    """Compaction starts when parts hold this many copies of each key, and this many keys more."""
    chunk_keys_max: int = 2000


@dataclass(slots=True)
class _Buffer:
    """Chunks of one state that no part holds yet."""

    chunks: list[bytes] = field(default_factory=lambda: [PART_HEADER])
    byte_count: int = len(PART_HEADER)
    key_count: int = 0
    until: int = BEFORE_ALL
    """See ``PartRef.until``."""


@dataclass(frozen=True, slots=True)
class SourcePositions:
    """Where the sources of this worker were when the barrier passed them."""

    journals: list[JournalPosition]
    sources: dict[int, Any]
    times: dict[int, Instant] = field(default_factory=dict)
    """The watermark of each source whose records have times."""


@dataclass(slots=True)
class _Share:
    """What this worker has for one checkpoint so far."""

    checkpoint: CheckpointId
    positions: SourcePositions
    buffers: list[_Buffer]
    key_counts: dict[str, int]
    counts: dict[str, Counts]
    clocks: dict[str, ClockShare]
    parts: list[PartRef] = field(default_factory=list)
    being_stored: set[str] = field(default_factory=set)
    output: SinkShare | None = None
    """``None`` until the output from before the barrier is settled."""
    is_written: bool = False
    """Whether all frozen keys are in parts."""
    error: WallarooError | None = None


@dataclass(frozen=True, slots=True)
class _ChunkWriter:
    """Makes chunks of what checkpoints hold of one state."""

    state: str
    pickler: StatePickler
    clock: Callable[[], float]
    keep: Callable[[bytes, int, int], None]
    """Gets a chunk, the number of its keys, and until when it is needed."""
    copied: Callable[[float], None]
    """Gets the seconds that a copy took."""

    def write(self, keys: list[Any], states: list[Any]) -> None:
        self.keep(encode_chunk(keys, states, self.state, self.pickler), len(keys), END)

    def write_copies(self, keys: list[Any], copies: list[bytes]) -> None:
        self.keep(encode_copies(keys, copies), len(keys), END)

    def write_pane(self, chunk: PaneChunk, until: int) -> None:
        kind, time, keys, accumulators = chunk
        tag = PaneTag(kind, time)
        data = encode_chunk(keys, accumulators, self.state, self.pickler, tag)
        self.keep(data, len(keys), until)

    def copy(self, key: Any, state: Any) -> bytes:
        started_s = self.clock()
        copy = pickle_state(key, state, self.state, self.pickler)
        self.copied(self.clock() - started_s)
        return copy


class ShareEvents(Protocol):
    """What becomes of a share."""

    def part_written(self, name: str, data: bytes) -> None:
        """Start to write a part to the store; its outcome is reported to ``part_stored``."""
        ...

    def share_saved(self, content: WorkerCheckpoint) -> None:
        """The share is durable."""
        ...

    def share_failed(self, error: WallarooError) -> None:
        """The share cannot be saved, and none of its puts is under way any more."""
        ...


class ShareWriter:
    """Writes one worker's shares, one checkpoint at a time, for as long as an epoch lasts."""

    def __init__(
        self,
        me: WorkerName,
        epoch: Epoch,
        dataflow: Dataflow,
        clock: Callable[[], float],
        limits: Limits,
        pickler: StatePickler,
        events: ShareEvents,
    ) -> None:
        self._pickler = pickler
        self._events = events
        self._me = me
        self._epoch = epoch
        self._clock = clock
        self._limits = limits
        self._states = dataflow.saved_states
        self._changes = [
            (name, each.changes) for name, each in self._states.items() if each.changes is not None
        ]
        self._freeze = dataflow.freeze
        self._progress = dataflow.progress
        self._counts = dataflow.counts
        self._pacer = Pacer()
        self._share: _Share | None = None
        self._part_count = 0
        self._gave_at = NO_BARRIER
        """The last barrier at which partitions moved from here to other workers."""
        self._took: Took = {}
        """Partitions that moved back, see ``WorkerCheckpoint.took``."""
        self.inherited: list[StagedOutput] = []
        """Output staged by workers that have left, to be listed in the next checkpoint."""
        self._parts: list[PartRef] = []
        """The parts of this worker's state as of the last committed checkpoint, oldest first."""
        self._new_parts: list[PartRef] = []
        """The parts that a saved share adds to them once it is committed."""
        self._superseded: frozenset[str] = frozenset()
        """Parts whose keys are all marked as changed."""
        self._leaving: frozenset[str] = frozenset()
        """Parts that the running checkpoint leaves out."""
        self._is_compacting = False
        self._held_since_s: float | None = None
        self._copied_s = 0.0
        """Time spent on copies of keys that were about to change, since the last slice."""
        self._pause_s = 0.0
        """The longest time that records waited, since the last share was saved."""
        self._writers = self._new_writers()

    def _new_writers(self) -> dict[str, _ChunkWriter]:
        return {
            name: _ChunkWriter(
                name, self._pickler, self._clock, partial(self._keep, index), self._copied
            )
            for index, name in enumerate(self._states)
        }

    # How long records wait

    def hold(self) -> None:
        """Note that sources wait for a barrier from now on."""
        self._held_since_s = self._clock()

    def resume(self) -> None:
        """Note that sources go on."""
        if self._held_since_s is not None:
            self._waited(self._clock() - self._held_since_s)
            self._held_since_s = None

    def _waited(self, seconds: float) -> None:
        self._pause_s = max(self._pause_s, seconds)

    # A checkpoint, from the barrier on

    def freeze(
        self,
        checkpoint: CheckpointId,
        positions: SourcePositions,
        vectors: Mapping[str, list[Any]] = NO_VECTORS,
    ) -> None:
        """Start a share: everything before the barrier is processed, and nothing behind it.

        ``vectors`` says, by timed state, what has arrived from each sender of its clock.
        """
        assert self._share is None, "the last checkpoint was neither finished nor abandoned"
        key_counts = {name: len(states) for name, states in self._states.items()}
        buffers = [_Buffer() for _ in self._changes]
        clocks = {
            name: ClockShare(Instant(clock), Instant(fired), vectors.get(name, []))
            for name, (clock, fired) in self._progress().items()
        }
        self._share = _Share(checkpoint, positions, buffers, key_counts, self._counts(), clocks)
        self._expire()
        self._leaving, self._superseded = self._superseded, frozenset()
        self._freeze(self._writers)

    def _expire(self) -> None:
        """Leave out the parts whose windows have all fired."""
        fired = self._fired()
        self._superseded |= {part.name for part in self._parts if part.until <= fired[part.state]}

    def _fired(self) -> list[int]:
        """Return up to when the windows of each state have fired; of others, before all times."""
        progress = self._progress()
        return [progress[name].fired if name in progress else BEFORE_ALL for name in self._states]

    def _keep(self, index: int, chunk: bytes, key_count: int, until: int) -> None:
        assert self._share is not None
        buffer = self._share.buffers[index]
        buffer.chunks.append(chunk)
        buffer.byte_count += len(chunk)
        buffer.key_count += key_count
        buffer.until = max(buffer.until, until)
        if buffer.byte_count >= self._limits.part_bytes:
            self._put(self._share, index)

    def _copied(self, seconds: float) -> None:
        self._copied_s += seconds

    def write_slice(self) -> bool:
        """Write frozen keys for about 2 ms; return whether there are more."""
        self._waited(self._copied_s)
        started_s = self._clock()
        has_more = self._write_slice()
        self._waited(self._clock() - started_s)
        self._copied_s = 0.0
        return has_more

    def _write_slice(self) -> bool:
        assert self._share is not None
        for _, change in self._changes:
            if change.is_writing:
                started = self._clock()
                wanted = min(self._pacer.record_count, self._limits.chunk_keys_max)
                count = change.write_slice(wanted)
                self._pacer.observe(count, self._clock() - started)
                return True
        for index, buffer in enumerate(self._share.buffers):
            if buffer.key_count:
                self._put(self._share, index)
        self._share.is_written = True
        self._finish_if_complete()
        return False

    def _put(self, share: _Share, index: int) -> None:
        buffer, share.buffers[index] = share.buffers[index], _Buffer()
        name = part_name(share.checkpoint, self._me, self._epoch, index, self._part_count)
        self._part_count += 1
        until = Instant(buffer.until)
        share.parts.append(
            PartRef(name, share.checkpoint, index, buffer.byte_count, buffer.key_count, until)
        )
        share.being_stored.add(name)
        self._events.part_written(name, b"".join(buffer.chunks))

    def part_stored(self, name: str, error: WallarooError | None) -> None:
        """Note that a part that was written is durable, or why it could not be stored."""
        share = self._share
        if share is not None and name in share.being_stored:
            share.being_stored.remove(name)
            share.error = share.error or error
            self._finish_if_complete()

    def output_settled(self, checkpoint: CheckpointId, output: SinkShare) -> None:
        """Note that a crash cannot lose the output from before the barrier any more."""
        if self._share is not None and self._share.checkpoint == checkpoint:
            self._share.output = output
            self._finish_if_complete()

    def output_failed(self, checkpoint: CheckpointId, error: WallarooError) -> None:
        """Note that output from before the barrier cannot be made safe."""
        if self._share is not None and self._share.checkpoint == checkpoint:
            self._share.output = SinkShare()
            self._share.error = self._share.error or error
            self._finish_if_complete()

    def _finish_if_complete(self) -> None:
        share = self._share
        if share is None or not share.is_written or share.being_stored or share.output is None:
            return
        self._share = None
        for name, change in self._changes:
            if change.error is not None:
                share.error = share.error or _saving_error(name, change.error)
        if share.error is not None:
            self._events.share_failed(share.error)
            return
        self._new_parts = share.parts
        pause_s, self._pause_s = self._pause_s, 0.0
        parts = [part for part in self._parts if part.name not in self._leaving] + share.parts
        self._events.share_saved(
            WorkerCheckpoint(
                worker=self._me,
                parts=parts,
                journals=share.positions.journals,
                sources=share.positions.sources,
                staged=self.inherited + share.output.staged,
                key_counts=share.key_counts,
                pause_s=pause_s,
                counts=share.counts,
                gave_at=self._gave_at,
                outbox=share.output.outbox,
                prepared=share.output.prepared,
                took=_that_matter(self._took, parts),
                clocks=share.clocks,
                source_times=share.positions.times,
            )
        )

    def committed(self) -> None:
        """Apply the last share: its checkpoint is committed."""
        started_s = self._clock()
        self.inherited = []
        self._parts = [part for part in self._parts if part.name not in self._leaving]
        self._parts += self._new_parts
        self._took = _that_matter(self._took, self._parts)
        self._new_parts = []
        self._leaving = frozenset()
        for _, change in self._changes:
            change.committed()
        self._waited(self._clock() - started_s)

    def abandon(self) -> None:
        """Give up the last share: its keys belong to the next checkpoint."""
        self._share = None
        self._new_parts = []
        for _, change in self._changes:
            change.abandon()
        # The keys of these parts are marked again, so the next checkpoint can leave them out too.
        self._superseded |= self._leaving
        self._leaving = frozenset()

    # Between checkpoints

    def restored(self, parts: list[PartRef], gave_at: CheckpointId, took: Took) -> None:
        """Begin with the states in these parts, which this worker wrote in an earlier life."""
        self._parts, self._gave_at, self._took = parts, gave_at, took

    def owners_changed(
        self, checkpoint: CheckpointId, *, gave: bool, took: Mapping[str, list[PartitionId]]
    ) -> None:
        """Note that partitions moved from here, or to here, at this barrier."""
        if any(part.checkpoint < self._gave_at for part in self._parts):
            # Such a part may hold keys of these partitions, from the time when they were here.
            for state, partitions in took.items():
                if partitions:
                    self._took.setdefault(state, {})[checkpoint] = [*partitions]
        if gave:
            self._gave_at = checkpoint

    def before_take_in(self) -> None:
        """Note how far everything here has fired, before keys move in that may have fired less."""
        self._expire()
        fired = self._fired()
        self._parts = [
            replace(part, fired=Instant(max(part.fired, fired[part.state]))) for part in self._parts
        ]

    def inherit(self, staged: list[StagedOutput]) -> None:
        """List output of a worker that has left, as it staged it, in the next checkpoint."""
        self.inherited += staged

    def mark_all_changed(self) -> None:
        """Forget all parts, and write every key of this worker in the next checkpoint."""
        self._parts, self._took = [], {}
        for state in self._states.values():
            state.mark_all_changed()

    async def compact(self, store: PartStore, pause: Pause) -> None:
        """Mark the keys of the oldest parts as changed if parts hold too many copies.

        The next checkpoint writes these keys again and does not need the parts any more. So a
        restore reads about two copies of each key at most, however long a run lasts, and a state is
        never rewritten as a whole.
        """
        if self._is_compacting:
            return
        self._is_compacting = True
        states = [*self._states.values()]
        try:
            for state in states:
                for _ in state.tidy():
                    await pause(0)
            for part in self._surplus():
                data = await store.get(part.name)
                is_rewritten = True
                for chunk in read_part(data, part, store.describe(part.name)):
                    is_rewritten &= states[part.state].rewrite(chunk.keys(), chunk.tag)
                    await pause(0)
                if is_rewritten:
                    self._superseded |= {part.name}
        finally:
            self._is_compacting = False

    def _surplus(self) -> list[PartRef]:
        """Return the oldest parts, as many as hold the copies that are too many."""
        dropped = self._superseded | self._leaving
        parts = [part for part in self._parts if part.name not in dropped]
        surplus = sum(part.key_count for part in parts) - self._limits.keys_spared
        surplus -= self._limits.copies_max * sum(map(len, self._states.values()))
        oldest: list[PartRef] = []
        for part in parts:
            if surplus <= 0:
                break
            surplus -= part.key_count
            oldest.append(part)
        return oldest


def _that_matter(took: Took, parts: list[PartRef]) -> Took:
    """Return the partitions in ``took`` of which ``parts`` may hold keys from before they moved."""
    oldest = min((part.checkpoint for part in parts), default=None)
    if oldest is None:
        return {}
    recent = {
        state: {at: partitions for at, partitions in by_barrier.items() if at > oldest}
        for state, by_barrier in took.items()
    }
    return {state: by_barrier for state, by_barrier in recent.items() if by_barrier}


def _saving_error(state: str, error: BaseException) -> WallarooError:
    if isinstance(error, WallarooError):
        return error
    return StateObjectError(f"state {state!r} cannot be saved: {error_text(error)}")
