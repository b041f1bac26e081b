"""The manifest: the one object whose existence makes a checkpoint exist.

Manifests are numbered from 1 without gaps. Each is created once and never changed. A *claim* has
the content of the manifest that a run starts from, but a new epoch. How they are written, and what
that excludes, is explained in ``manifest_log.py``.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import msgpack

from wallaroo.checkpoint.blocks import (
    HEADER_BYTES,
    HINT_RESTORE,
    FileKind,
    encode_block,
    encode_header,
    read_blocks,
)
from wallaroo.checkpoint.dataclass_codec import OMITTED, from_plain, to_plain
from wallaroo.checkpoint.shapes import StateShape
from wallaroo.errors import DamagedFileError
from wallaroo.metrics.tally import Counts, add_counts
from wallaroo.names import NO_BARRIER, CheckpointId, Epoch, WorkerName
from wallaroo.timing.instants import BEFORE_ALL, END, Instant

MANIFEST_FOLDER = "manifests/"
PART_FOLDER = "parts/"

NUMBER_DIGITS = 10
"""Digits of numbers in names, so that names sort as the numbers do."""


@dataclass(frozen=True, slots=True)
class PartRef:
    """A part: one object of the store, with changed keys of one state."""

    name: str
    checkpoint: CheckpointId
    """The round in which it was written; the numbers of rounds are above those of all manifests."""
    state: int
    """Position of the state in the plan."""
    byte_count: int
    key_count: int
    until: Instant = field(default_factory=lambda: Instant(END), metadata=OMITTED)
    """Of windows: once all has fired up to here, nothing in it is needed any more."""
    fired: Instant = field(default_factory=lambda: Instant(BEFORE_ALL), metadata=OMITTED)
    """Of windows: up to when they had fired here before keys moved in that had not fired as far."""


@dataclass(frozen=True, slots=True)
class ClockShare:
    """How far a timed state is on one worker, and why."""

    clock: Instant
    fired: Instant
    vector: list[Any]
    """The last watermark of each sender: ``[edge, worker, time, status]``."""


@dataclass(frozen=True, slots=True)
class JournalPosition:
    """How far a journal was processed: all before `offset`, and parts of some entries behind it.

    ``done`` maps the offset of such an entry to the number of its first records that are processed.
    Raises ``ValueError`` if it names an entry before `offset`. Two positions are equal if a replay
    from them is the same.
    """

    journal: str
    offset: int
    done: dict[int, int]
    end: int = field(default_factory=int, compare=False)
    """Length that the journal had at least; if it is shorter, it is damaged. 0 if unknown."""
    is_finished: bool = field(default_factory=bool, compare=False)
    """Whether the journal is closed and processed to its end, so that it may be deleted."""

    def __post_init__(self) -> None:
        if self.done and min(self.done) < self.offset:
            raise ValueError(
                f"journal {self.journal} is processed up to {self.offset}, "
                f"so its entry at {min(self.done)} cannot be in part"
            )

    @property
    def least_end(self) -> int:
        """The smallest offset at which the journal can end, since all before it was there once."""
        return max(self.offset, self.end)


@dataclass(frozen=True, slots=True)
class StagedOutput:
    """Output of a sink that becomes visible when its checkpoint is committed."""

    sink: int
    """Position of the sink in the plan."""
    name: str
    byte_count: int
    cut: CheckpointId = field(default_factory=lambda: NO_BARRIER)
    """The barrier before which it was written: output with a lower one is appended earlier."""


@dataclass(frozen=True, slots=True)
class OutboxBatch:
    """Results for a sink that is exactly once: one object of the store, and one write."""

    sink: int
    """Position of the sink in the plan."""
    slot: str
    """The worker that made it. If it has left, its successor delivers it in the same slot."""
    name: str
    """Of the object in the store, see ``outbox_name``."""
    number: int
    """1, 2, 3 and so on within its slot. It is not the number of a checkpoint: these are used
    again if a run goes back to an older one, and the target would take new results for old ones."""
    record_count: int
    byte_count: int
    cut: CheckpointId
    """The barrier before which it was made: batches with a lower one are delivered earlier."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Work that a sink has prepared, to be committed with the checkpoint."""

    sink: int
    """Position of the sink in the plan."""
    token: bytes
    """What the sink gave for it."""
    cut: CheckpointId


@dataclass(frozen=True, slots=True)
class SinkShare:
    """What the sinks of a worker add to its share of a checkpoint."""

    staged: list[StagedOutput] = field(default_factory=list)
    outbox: list[OutboxBatch] = field(default_factory=list)
    prepared: list[Prepared] = field(default_factory=list)

    def __add__(self, other: "SinkShare") -> "SinkShare":
        """Return both together."""
        return SinkShare(
            self.staged + other.staged, self.outbox + other.outbox, self.prepared + other.prepared
        )


@dataclass(frozen=True, slots=True)
class WorkerCheckpoint:
    """One worker's share of a checkpoint."""

    worker: WorkerName
    parts: list[PartRef]
    """Oldest first: a later part's value of a key replaces an earlier one's."""
    journals: list[JournalPosition]
    sources: dict[int, Any]
    """Position of each source that can be rewound, by pipeline: any value that msgpack packs."""
    staged: list[StagedOutput]
    key_counts: dict[str, int]
    """Number of keys that the worker held at the barrier, by state name."""
    pause_s: float = field(default_factory=float)
    """The longest time that records waited for the work of this checkpoint."""
    counts: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """Records counted until the barrier, see ``wallaroo.metrics.tally``. They are by worker, since
    a worker also carries the counts of workers that have left."""
    gave_at: CheckpointId = field(default_factory=lambda: NO_BARRIER)
    """The last barrier at which partitions moved away from it. Older parts may hold keys that it
    did not own any more when this was saved."""
    outbox: list[OutboxBatch] = field(default_factory=list)
    """What it delivers once this checkpoint is committed, and what only it may have delivered."""
    prepared: list[Prepared] = field(default_factory=list)
    """What its sinks commit once this checkpoint is committed."""
    took: dict[str, dict[int, list[int]]] = field(default_factory=dict)
    """By state and barrier: the partitions that moved back to it. Of these, parts from before the
    barrier may hold keys that were deleted elsewhere meanwhile."""
    clocks: dict[str, ClockShare] = field(default_factory=dict, metadata=OMITTED)
    """By timed state."""
    source_times: dict[int, Instant] = field(default_factory=dict, metadata=OMITTED)
    """The watermark of each source here, by pipeline."""

    def to_wire(self) -> list[Any]:
        """Return the values as lists, as msgpack packs them."""
        values: list[Any] = to_plain(self)
        return values

    @classmethod
    def from_wire(cls, value: object) -> "WorkerCheckpoint":
        """Return what ``to_wire`` gave; ``ValueError``, naming the field, for anything else."""
        return from_plain(cls, value)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A checkpoint, or a claim. Raises ``ValueError`` if its parts do not fit together."""

    number: CheckpointId
    epoch: Epoch
    is_claim: bool
    application: str
    outline: list[str]
    """The plan's, see ``topology/fingerprint.py``."""
    members: list[str]
    partition_maps: list[Any]
    """Each as ``PartitionMap.to_wire`` gives it."""
    workers: dict[str, WorkerCheckpoint]
    file_lengths: dict[int, int]
    """Bytes of each file sink that are committed without this checkpoint's staged output."""
    taken_unix_s: float
    duration_s: float
    writer: str = ""
    """A random mark of the process that committed it, see ``with_writer``."""
    base: int = field(default_factory=int)
    """The number of the manifest that it follows; 0 for none."""
    shapes: dict[str, StateShape] = field(default_factory=dict)
    """The shape of a fresh object of each state, for the code that wrote the parts."""
    lineage: str = field(default_factory=str)
    """A random text of the store, set by its first claim and copied by every later manifest. It is
    in the names under which sinks keep numbers, so two stores never take each other's for their
    own."""

    def __post_init__(self) -> None:
        if self.number < 1:
            raise ValueError(f"a manifest cannot have number {self.number}; the first is 1")
        for name, checkpoint in self.workers.items():
            if checkpoint.worker != name:
                raise ValueError(f"worker {name!r} is given the share of {checkpoint.worker!r}")

    def to_wire(self) -> list[Any]:
        """Return the values as lists, as msgpack packs them."""
        values: list[Any] = to_plain(self)
        return values

    @classmethod
    def from_wire(cls, value: object) -> "Manifest":
        """Return what ``to_wire`` gave; ``ValueError``, naming the field, for anything else."""
        return from_plain(cls, value)

    def with_writer(self, writer: str) -> "Manifest":
        """Return the same manifest with a mark, so that no other process can make the same bytes.

        If the answer to a write was lost, the bytes that are there say which process wrote them.
        """
        return replace(self, writer=writer)

    def object_names(self) -> frozenset[str]:
        """Return the names of all objects of the store that this manifest needs."""
        names: set[str] = set()
        for worker in self.workers.values():
            names.update(part.name for part in worker.parts)
            names.update(batch.name for batch in worker.outbox)
        return frozenset(names)

    def last_barrier(self) -> CheckpointId:
        """Return the highest number of a barrier or of a manifest that is named here.

        Barriers have higher numbers than manifests, since not every barrier becomes a checkpoint.
        """
        last = self.number
        for worker in self.workers.values():
            cuts = [staged.cut for staged in worker.staged]
            cuts += [batch.cut for batch in worker.outbox]
            cuts += [prepared.cut for prepared in worker.prepared]
            barriers = [at for by_barrier in worker.took.values() for at in by_barrier]
            parts = [part.checkpoint for part in worker.parts]
            last = CheckpointId(max(last, worker.gave_at, *cuts, *barriers, *parts))
        return last

    def outbox(self) -> list[OutboxBatch]:
        """Return the batches of all workers that may not be delivered yet."""
        return [batch for worker in self.workers.values() for batch in worker.outbox]

    def outbox_cuts(self) -> list[CheckpointId]:
        """Return the cuts of these batches in the order of delivery.

        There are several if keys moved to other workers since the checkpoint before.
        """
        return sorted({batch.cut for batch in self.outbox()})

    def counts(self) -> dict[str, Counts]:
        """Return the counts of all workers until this checkpoint, by worker."""
        counts: dict[str, Counts] = {}
        for share in self.workers.values():
            for worker, more in share.counts.items():
                add_counts(counts.setdefault(worker, {}), more)
        return counts

    def journal_positions(self) -> list[JournalPosition]:
        """Return the positions of all workers' journals."""
        return [position for worker in self.workers.values() for position in worker.journals]


def manifest_name(number: int) -> str:
    """Return the name of manifest `number` in the store."""
    return f"{MANIFEST_FOLDER}{number:0{NUMBER_DIGITS}}"


def manifest_number(name: str) -> int | None:
    """Return the number in a name in the store; ``None`` if it does not name a manifest."""
    digits = name.removeprefix(MANIFEST_FOLDER)
    is_number = len(digits) == NUMBER_DIGITS and digits.isascii() and digits.isdecimal()
    return int(digits) if is_number and name == MANIFEST_FOLDER + digits else None


def part_name(checkpoint: int, worker: str, epoch: int, state: int, number: int) -> str:
    """Return the name in the store of a worker's part `number` of a state for a checkpoint."""
    return f"{PART_FOLDER}{checkpoint:0{NUMBER_DIGITS}}/{worker}-{epoch}-{state}-{number}"


def outbox_name(checkpoint: int, worker: str, epoch: int, sink: int, number: int) -> str:
    """Return the name in the store of a worker's batch `number` of results for a sink.

    ``checkpoint`` is one more than the last barrier, so retention knows that it is being made.
    """
    return f"{PART_FOLDER}{checkpoint:0{NUMBER_DIGITS}}/{worker}-{epoch}-out-{sink}-{number}"


def encode_manifest(manifest: Manifest) -> bytes:
    """Return the bytes of a manifest's object."""
    # Texts come from the user's module and may hold lone surrogates.
    body: bytes = msgpack.packb(manifest.to_wire(), unicode_errors="surrogatepass")
    return encode_header(FileKind.MANIFEST) + encode_block(body)


def decode_manifest(data: bytes, file: str) -> Manifest:
    """Return the manifest in the bytes of `file`; ``DamagedFileError`` if there is none."""
    blocks = list(read_blocks(data, FileKind.MANIFEST, file))
    if len(blocks) != 1:
        raise DamagedFileError(
            file, HEADER_BYTES, f"it has {len(blocks)} blocks instead of one", HINT_RESTORE
        )
    try:
        values = msgpack.unpackb(
            blocks[0].body, strict_map_key=False, unicode_errors="surrogatepass"
        )
        return Manifest.from_wire(values)
    except (ValueError, TypeError, msgpack.UnpackException) as error:
        raise DamagedFileError(
            file, HEADER_BYTES, f"what it holds is not a manifest: {error}", HINT_RESTORE
        ) from error
