"""Frames between the initializer and its workers: msgpack arrays behind a u32 big-endian length.

The first element is the frame's tag, the others its fields in order. Every frame names its epoch;
the coordinator drops frames of an older epoch, and nothing else does. Each frame says who sends it.
"""

import struct
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, get_args

import msgpack

from wallaroo.errors import ProtocolError
from wallaroo.names import NO_BARRIER, CheckpointId, Epoch, WorkerName
from wallaroo.wire.agents import AgentFrame
from wallaroo.wire.outbox import OutboxFrame
from wallaroo.wire.requests import NO_EPOCH, Answer, Progress, Query, Replied, Request
from wallaroo.wire.splits import SplitFrame

FRAME_BYTES_MAX = 64 << 20
TOO_MANY_SPLITS = (
    "more than fit into one frame: stop the cluster in order, and start it with the workers that "
    "you want"
)
"""The rest of the sentence that calls a resize off; a start deals splits in many frames."""

_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Join:
    """Worker: joins, with the outline of its application and the address of its links."""

    tag: ClassVar[int] = 1
    epoch: Epoch
    name: WorkerName
    pid: int
    data_address: str
    outline: list[str]
    hand_over_path: str = ""
    """The path where this worker accepts connections of others on its host; empty for none."""
    journals: list[Any] = field(default_factory=list, repr=False)
    """What this worker can reach of each journal, from ``JournalExtent.to_wire``."""
    journal_folder: str = ""
    """The folder of the journals on its host, for messages."""


@dataclass(frozen=True, slots=True)
class Assign:
    """Initializer: names the members and the owners of partitions; the answer is ``Ready``."""

    tag: ClassVar[int] = 2
    epoch: Epoch
    members: list[list[Any]]
    """Name, incarnation and data address of each."""
    partition_maps: list[Any]
    """Each from ``PartitionMap.to_wire``."""
    source_addresses: list[str]
    """By pipeline; empty if a pipeline has no listening source."""
    source_workers: list[str]
    """By pipeline: the one worker that runs its source; empty if all workers listen."""
    manifest: int
    """The number of the checkpoint to go back to; 0 to start without one."""
    barrier: CheckpointId = NO_BARRIER
    """Barriers up to this one are obsolete."""
    resize: int = 0
    """The resize that this commits; 0 for none."""
    left: list[Any] = field(default_factory=list)
    """The departure of each worker that left with this resize, as reported in ``Held``."""
    held_sinks: list[int] = field(default_factory=list)
    """Sinks that lack results from before the resize; new owners hold their results back."""
    given_up: list[str] = field(default_factory=list)
    """Journals that are incomplete: replay what exists of them."""
    cuts: list[CheckpointId] = field(default_factory=list)
    """The cuts of the results in the checkpoint that are perhaps not delivered, lowest first."""
    lineage: str = ""
    """See ``Manifest.lineage``; empty if checkpoints are off."""
    source_times: dict[int, int] = field(default_factory=dict)
    """By pipeline: the watermark of what has moved of its source with this resize."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Worker: its links and sinks of this epoch are connected."""

    tag: ClassVar[int] = 3
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Open:
    """Initializer: lets the sources accept records."""

    tag: ClassVar[int] = 4
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Opened:
    """Worker: its sources accept records."""

    tag: ClassVar[int] = 5
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Drain:
    """Initializer: closes the sources, sends a last barrier behind their records, flushes sinks."""

    tag: ClassVar[int] = 6
    epoch: Epoch
    checkpoint: CheckpointId
    is_final: bool = False
    """Whether all windows and timers fire first, because nothing goes on from this barrier."""


@dataclass(frozen=True, slots=True)
class Drained:
    """Worker: the barrier has passed, and the sinks have everything."""

    tag: ClassVar[int] = 7
    epoch: Epoch
    checkpoint: CheckpointId
    incarnation: Epoch = NO_EPOCH
    counts: dict[str, Any] = field(default_factory=dict)
    """Incarnation and counts are as in ``Counted``; nothing is counted after this."""

    def __post_init__(self) -> None:
        _check_counts(self.counts)


@dataclass(frozen=True, slots=True)
class Stop:
    """Initializer: ends the process now."""

    tag: ClassVar[int] = 8
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Failed:
    """Worker: reports that the run cannot go on; the process ends."""

    tag: ClassVar[int] = 9
    epoch: Epoch
    worker: WorkerName
    what: str
    hint: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class RequestStop:
    """Worker: was asked to end (SIGTERM), so the cluster must stop in order."""

    tag: ClassVar[int] = 10
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Rewind:
    """Initializer: makes a worker go back to the last checkpoint, since another one was lost.

    The answer is a ``Join`` in the new epoch, as if the worker had just been started.
    """

    tag: ClassVar[int] = 11
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Initializer: orders a checkpoint: send the barrier, and save what is before it."""

    tag: ClassVar[int] = 12
    epoch: Epoch
    checkpoint: CheckpointId


@dataclass(frozen=True, slots=True)
class Saved:
    """Worker: what was before the barrier is durable, and its output is with the sinks."""

    tag: ClassVar[int] = 13
    epoch: Epoch
    checkpoint: CheckpointId
    content: list[Any] = field(repr=False)
    """From ``WorkerCheckpoint.to_wire``; long, so logs and stories leave it out."""
    is_replayed: bool = True
    """Whether no journal was being replayed when the barrier left the sources."""


@dataclass(frozen=True, slots=True)
class NotSaved:
    """Worker: reports that it cannot save its share of the checkpoint."""

    tag: ClassVar[int] = 14
    epoch: Epoch
    checkpoint: CheckpointId
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Committed:
    """Initializer: the checkpoint is committed; delete what only older ones need."""

    tag: ClassVar[int] = 15
    epoch: Epoch
    checkpoint: CheckpointId
    number: int
    """The number of its manifest."""
    oldest_number: int
    """The number of the oldest retained manifest."""
    is_replayed: bool = True
    """Whether no worker was replaying a journal, so that no later replay starts before it."""
    cuts: list[CheckpointId] = field(default_factory=list)
    """The cuts of the results to deliver now, lowest first; see ``wallaroo.wire.outbox``."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """Initializer: gives the checkpoint up; its keys belong to the next one."""

    tag: ClassVar[int] = 16
    epoch: Epoch
    checkpoint: CheckpointId


@dataclass(frozen=True, slots=True)
class SourcesEnded:
    """Worker: its sources of these pipelines have ended, and all their records are taken."""

    tag: ClassVar[int] = 17
    epoch: Epoch
    pipelines: list[int]
    problems: list[str]
    """A sentence for each source that ended early."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Worker: shows that its process is alive. It is the only frame on its own connection."""

    tag: ClassVar[int] = 18
    epoch: Epoch
    """The epoch at which the process was started."""
    name: WorkerName


@dataclass(frozen=True, slots=True)
class Gather:
    """Initializer: starts a resize: connect to these members, and find the keys that move.

    Records continue to flow. The answer is ``Gathered`` or ``NotMoved``.
    """

    tag: ClassVar[int] = 20
    epoch: Epoch
    resize: int
    members: list[list[Any]]
    """Name, incarnation and data address of each, with those that join and those that leave."""
    new_workers: list[str]
    """The members afterwards."""
    partition_maps: list[Any]
    """The owners of partitions afterwards."""
    splits: list[Any] = field(default_factory=list, repr=False)
    """The splits that change their reader: pipeline, present reader, and names."""
    lineage: str = ""
    """As in ``Assign``, for workers that join: their sinks connect before the members change."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Worker: is connected to all of these members, and knows the keys that move."""

    tag: ClassVar[int] = 21
    epoch: Epoch
    resize: int


@dataclass(frozen=True, slots=True)
class Empty:
    """Initializer: makes a departing worker stop reading and process what it has read.

    Connections of senders are handed over to workers on the same host; others are closed after what
    was sent over them is read.
    """

    tag: ClassVar[int] = 22
    epoch: Epoch
    resize: int
    takers: list[str] = field(default_factory=list)
    """The paths at which the remaining workers accept connections."""


@dataclass(frozen=True, slots=True)
class Emptied:
    """Worker: has processed everything that it has read."""

    tag: ClassVar[int] = 23
    epoch: Epoch
    resize: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Initializer: sends a barrier that holds the sources; then the keys that move are sent."""

    tag: ClassVar[int] = 24
    epoch: Epoch
    resize: int
    checkpoint: CheckpointId


@dataclass(frozen=True, slots=True)
class Held:
    """Worker: has processed everything before the barrier, and sent the keys that move."""

    tag: ClassVar[int] = 25
    epoch: Epoch
    resize: int
    left: list[Any]
    """From ``Departure.to_wire`` if this worker leaves; otherwise empty."""
    gave_us: int
    """Microseconds from the barrier until all keys that move were sent."""
    owed_sinks: list[int] = field(default_factory=list)
    """Sinks that have not acknowledged everything that this worker wrote before the barrier."""
    splits: dict[int, Any] = field(default_factory=dict, repr=False)
    """Positions of the splits that this worker gives away, as ``WorkerCheckpoint.sources``."""
    source_times: dict[int, int] = field(default_factory=dict)
    """By pipeline: the watermark of its source, if it gives splits or connections of it away."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Worker: has received and staged the keys that move to it."""

    tag: ClassVar[int] = 26
    epoch: Epoch
    resize: int
    key_count: int
    byte_count: int


@dataclass(frozen=True, slots=True)
class NotMoved:
    """Worker: reports that the resize cannot be done."""

    tag: ClassVar[int] = 27
    epoch: Epoch
    resize: int
    reason: str


@dataclass(frozen=True, slots=True)
class CallOff:
    """Initializer: gives the resize up; workers go on as before."""

    tag: ClassVar[int] = 28
    epoch: Epoch
    resize: int
    reason: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Initializer: the worker is not a member any more and must deliver its output.

    The answer is ``Drained``; then the process gets ``Stop``.
    """

    tag: ClassVar[int] = 29
    epoch: Epoch
    resize: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """Worker: only these sinks still lack output from before the barrier of the resize."""

    tag: ClassVar[int] = 33
    epoch: Epoch
    resize: int
    owed_sinks: list[int]


@dataclass(frozen=True, slots=True)
class Release:
    """Initializer: only these sinks are held any longer for the resize."""

    tag: ClassVar[int] = 34
    epoch: Epoch
    resize: int
    held_sinks: list[int]


@dataclass(frozen=True, slots=True)
class Measured:
    """Worker: its metrics, once a second and before its last frame."""

    tag: ClassVar[int] = 30
    epoch: Epoch
    worker: WorkerName
    report: dict[str, Any]
    """See ``wallaroo.metrics.report``."""


@dataclass(frozen=True, slots=True)
class GivenBack:
    """Worker: rows of a sink, or failures, for the program that runs the cluster inside itself."""

    tag: ClassVar[int] = 35
    epoch: Epoch
    sink: int
    """Its position in the plan; ``FAILURES`` instead for records that failed."""
    rows: bytes = field(repr=False)
    """A list of rows or of failures, as a pickle."""


FAILURES = -1


@dataclass(frozen=True, slots=True)
class Counted:
    """Worker: its counts of records, once a second, after failures, and on request."""

    tag: ClassVar[int] = 31
    epoch: Epoch
    worker: WorkerName
    incarnation: Epoch
    """The epoch at which it last joined as if just started; it has counted since then."""
    counts: dict[str, Any]
    """Four numbers by worker and node, as in ``wallaroo.metrics.tally``. They are by worker, since
    it carries on the counts of workers that have left."""

    def __post_init__(self) -> None:
        _check_counts(self.counts)


def _check_counts(by_worker: dict[str, Any]) -> None:
    for worker, counts in by_worker.items():
        is_named = isinstance(worker, str) and isinstance(counts, dict)
        if not is_named or not all(_are_counts(*each) for each in counts.items()):
            raise ValueError(f"the counts of worker {worker!r} are not four numbers by node")


def _are_counts(node: object, four: object) -> bool:
    if not isinstance(node, str) or not isinstance(four, list) or len(four) != 4:
        return False
    return all(type(count) is int for count in four)


ControlFrame = (
    Join | Assign | Ready | Open | Opened | Drain | Drained | Stop | Failed | RequestStop
    | Rewind | Checkpoint | Saved | NotSaved | Committed | Abandon | SourcesEnded | Pulse
    | Gather | Gathered | Empty | Emptied | Hold | Held | Moved | NotMoved | CallOff | Leave
    | Delivered | Release | Measured | Counted | GivenBack | Query | Replied | Request | Progress
    | Answer | SplitFrame | OutboxFrame | AgentFrame
)  # fmt: skip

TYPE_OF_TAG: dict[int, type[ControlFrame]] = {kind.tag: kind for kind in get_args(ControlFrame)}
assert len(TYPE_OF_TAG) == len(get_args(ControlFrame)), "two frames share a tag"


def encode_control_frame(frame: ControlFrame) -> bytes:
    """Return ``frame`` as bytes, with its length first."""
    content: bytes = msgpack.packb(
        [frame.tag, *(getattr(frame, f.name) for f in fields(frame))],
        unicode_errors="backslashreplace",
    )
    return _LENGTH.pack(len(content)) + content


def fits(frame: ControlFrame) -> bool:
    """Return whether a frame is not too long to be sent; the receiver would close the link."""
    return len(encode_control_frame(frame)) - _LENGTH.size <= FRAME_BYTES_MAX


def decode_control_frame(content: bytes) -> ControlFrame:
    """Return the frame in ``content``, which excludes the length."""
    try:
        tag, *values = msgpack.unpackb(content, strict_map_key=False)
        kind = TYPE_OF_TAG[tag]
        for field, value in zip(fields(kind), values, strict=True):
            _check(field.name, field.type, value)
        return kind(*values)
    except (ValueError, TypeError, KeyError, msgpack.UnpackException) as error:
        raise ProtocolError(
            f"a control frame of {len(content)} bytes cannot be read: "
            f"{type(error).__name__}: {error}",
            hint="run the same release of wallaroo-streams on every host",
        ) from error


_PLAIN_TYPES: dict[Any, type] = {Epoch: int, CheckpointId: int, WorkerName: str}


def _check(name: str, declared: Any, value: object) -> None:
    plain = getattr(declared, "__origin__", None) or _PLAIN_TYPES.get(declared, declared)
    if not isinstance(value, plain) or (plain is int and isinstance(value, bool)):
        raise TypeError(f"{name} must be {plain.__name__}, got {type(value).__name__}")
    if get_args(declared) == (str,) and not all(isinstance(item, str) for item in value):
        raise TypeError(f"{name} must hold text only")
