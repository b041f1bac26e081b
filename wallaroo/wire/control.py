"""Frames between the initializer and its workers: msgpack arrays behind a u32 big-endian length.

The first element is the frame's tag, the others its fields in order. Every frame names the epoch
it belongs to; what comes of an older one is dropped by the coordinator, and nowhere else.
"""

import struct
from dataclasses import dataclass, field, fields
from typing import Any, ClassVar, get_args

import msgpack

from wallaroo.errors import ProtocolError
from wallaroo.names import NO_BARRIER, CheckpointId, Epoch, WorkerName
from wallaroo.wire.agents import AgentFrame
from wallaroo.wire.requests import NO_EPOCH, Answer, Progress, Query, Replied, Request

FRAME_BYTES_MAX = 64 << 20

_LENGTH = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Join:
    """Worker: I run the application with this outline and take records at this address."""

    tag: ClassVar[int] = 1
    epoch: Epoch
    name: WorkerName
    pid: int
    data_address: str
    outline: list[str]
    hand_over_path: str = ""
    """Where this worker takes connections from others of its host; empty for nowhere."""
    journals: list[Any] = field(default_factory=list, repr=False)
    """What this worker can reach of each journal: as ``JournalExtent.to_wire`` gives it."""
    journal_folder: str = ""
    """Where that is on its host, for messages."""


@dataclass(frozen=True, slots=True)
class Assign:
    """Initializer: this is the membership, and who owns what; connect, then say ``Ready``."""

    tag: ClassVar[int] = 2
    epoch: Epoch
    members: list[list[Any]]
    """Name, incarnation, data address of each."""
    partition_maps: list[Any]
    """Each as ``PartitionMap.to_wire`` gives it."""
    source_addresses: list[str]
    """By pipeline; empty where a pipeline has no listening source."""
    source_workers: list[str]
    """By pipeline: who alone runs its source; empty where all workers listen."""
    manifest: int
    """The number of the checkpoint to go back to; 0 to begin with nothing."""
    barrier: CheckpointId = NO_BARRIER
    """Barriers up to this one belong to the past."""
    resize: int = 0
    """The resize that this commits; 0 for none."""
    left: list[Any] = field(default_factory=list)
    """What each worker that left with it has left behind, as ``Held`` told."""
    held_sinks: list[int] = field(default_factory=list)
    """Sinks that still lack results from before the resize; new owners hold theirs back."""
    given_up: list[str] = field(default_factory=list)
    """Journals of which something is lost: replay what is there of them."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Worker: links and sinks of this epoch stand."""

    tag: ClassVar[int] = 3
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Open:
    """Initializer: let the sources take records."""

    tag: ClassVar[int] = 4
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Opened:
    """Worker: the sources do."""

    tag: ClassVar[int] = 5
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Drain:
    """Initializer: stop the sources, send a last barrier behind what they took, flush the sinks."""

    tag: ClassVar[int] = 6
    epoch: Epoch
    checkpoint: CheckpointId


@dataclass(frozen=True, slots=True)
class Drained:
    """Worker: the barrier is through and the sinks have everything."""

    tag: ClassVar[int] = 7
    epoch: Epoch
    checkpoint: CheckpointId
    incarnation: Epoch = NO_EPOCH
    counts: dict[str, Any] = field(default_factory=dict)
    """Both as in ``Counted``: nothing is counted after this."""

    def __post_init__(self) -> None:
        _check_counts(self.counts)


@dataclass(frozen=True, slots=True)
class Stop:
    """Initializer: end the process now."""

    tag: ClassVar[int] = 8
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Failed:
    """Worker: this run cannot go on; the process ends."""

    tag: ClassVar[int] = 9
    epoch: Epoch
    worker: WorkerName
    what: str
    hint: str
    exit_code: int


@dataclass(frozen=True, slots=True)
class RequestStop:
    """Worker: somebody asked this process to end (SIGTERM); stop the cluster in order."""

    tag: ClassVar[int] = 10
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Rewind:
    """Initializer: another worker was lost; give up what you have since the last checkpoint.

    The answer is a ``Join`` as of the new epoch, as if the worker were started anew.
    """

    tag: ClassVar[int] = 11
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Initializer: send the barrier of this checkpoint, save what is before it."""

    tag: ClassVar[int] = 12
    epoch: Epoch
    checkpoint: CheckpointId


@dataclass(frozen=True, slots=True)
class Saved:
    """Worker: what was before the barrier is durable, and its output has reached the sinks."""

    tag: ClassVar[int] = 13
    epoch: Epoch
    checkpoint: CheckpointId
    content: list[Any] = field(repr=False)
    """As ``WorkerCheckpoint.to_wire`` gives it; long, so logs and stories leave it out."""
    is_replayed: bool = True
    """Whether no journal was being replayed when the barrier left the sources."""


@dataclass(frozen=True, slots=True)
class NotSaved:
    """Worker: the checkpoint cannot be saved here."""

    tag: ClassVar[int] = 14
    epoch: Epoch
    checkpoint: CheckpointId
    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Committed:
    """Initializer: the checkpoint stands; what only older ones need can be deleted."""

    tag: ClassVar[int] = 15
    epoch: Epoch
    checkpoint: CheckpointId
    number: int
    """Of its manifest."""
    oldest_number: int
    """Of the oldest manifest that is kept."""
    is_replayed: bool = True
    """Whether no worker was replaying a journal: none will be from before this one."""


@dataclass(frozen=True, slots=True)
class Abandon:
    """Initializer: there will be no such checkpoint; the next holds what it was to hold."""

    tag: ClassVar[int] = 16
    epoch: Epoch
    checkpoint: CheckpointId


@dataclass(frozen=True, slots=True)
class SourcesEnded:
    """Worker: these sources of mine have no more records, and all they had is taken."""

    tag: ClassVar[int] = 17
    epoch: Epoch
    pipelines: list[int]
    problems: list[str]
    """A sentence for each that ended before its end."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """Worker: this process lives. The only frame on a connection of its own."""

    tag: ClassVar[int] = 18
    epoch: Epoch
    """At which the process was started."""
    name: WorkerName


@dataclass(frozen=True, slots=True)
class Gather:
    """Initializer: the membership is to change; link to these members, find out what moves.

    Records go on. The answer is ``Gathered``, or ``NotMoved``.
    """

    tag: ClassVar[int] = 20
    epoch: Epoch
    resize: int
    members: list[list[Any]]
    """Name, incarnation, data address of each, those that join and those that leave included."""
    new_workers: list[str]
    """The members afterwards."""
    partition_maps: list[Any]
    """Who owns what afterwards."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """Worker: links to all of these stand, and what moves is known."""

    tag: ClassVar[int] = 21
    epoch: Epoch
    resize: int


@dataclass(frozen=True, slots=True)
class Empty:
    """Initializer, to a worker that leaves: have what you read taken, and read nothing more.

    Connections of senders go to workers of the same host; others are closed when what was sent
    over them is read.
    """

    tag: ClassVar[int] = 22
    epoch: Epoch
    resize: int
    takers: list[str] = field(default_factory=list)
    """The paths at which those that stay take connections."""


@dataclass(frozen=True, slots=True)
class Emptied:
    """Worker: so it is; nothing waits here that was read and not taken."""

    tag: ClassVar[int] = 23
    epoch: Epoch
    resize: int


@dataclass(frozen=True, slots=True)
class Hold:
    """Initializer: send this barrier and keep the sources behind it; then give what moves away."""

    tag: ClassVar[int] = 24
    epoch: Epoch
    resize: int
    checkpoint: CheckpointId


@dataclass(frozen=True, slots=True)
class Held:
    """Worker: all before the barrier is processed here, and so will be all that is sent on."""

    tag: ClassVar[int] = 25
    epoch: Epoch
    resize: int
    left: list[Any]
    """What a worker that leaves leaves behind: as ``Legacy.to_wire`` gives it; else empty."""
    gave_us: int
    """Microseconds since the barrier was through here: so long it took to give what moves."""
    owed_sinks: list[int] = field(default_factory=list)
    """Sinks that have not acknowledged all that this worker wrote before the barrier."""


@dataclass(frozen=True, slots=True)
class Moved:
    """Worker: what moves here has come from everybody, and lies aside."""

    tag: ClassVar[int] = 26
    epoch: Epoch
    resize: int
    key_count: int
    byte_count: int


@dataclass(frozen=True, slots=True)
class NotMoved:
    """Worker: this resize cannot be done."""

    tag: ClassVar[int] = 27
    epoch: Epoch
    resize: int
    reason: str


@dataclass(frozen=True, slots=True)
class CallOff:
    """Initializer: there will be no such resize; go on as before."""

    tag: ClassVar[int] = 28
    epoch: Epoch
    resize: int
    reason: str


@dataclass(frozen=True, slots=True)
class Leave:
    """Initializer: this worker is no member any more; deliver what the sinks have to get.

    The answer is ``Drained``; then the process is told to stop.
    """

    tag: ClassVar[int] = 29
    epoch: Epoch
    resize: int


@dataclass(frozen=True, slots=True)
class Delivered:
    """Worker: of what was written before that resize's barrier, only these sinks lack anything."""

    tag: ClassVar[int] = 33
    epoch: Epoch
    resize: int
    owed_sinks: list[int]


@dataclass(frozen=True, slots=True)
class Release:
    """Initializer: of the sinks held for that resize, only these are to be held any longer."""

    tag: ClassVar[int] = 34
    epoch: Epoch
    resize: int
    held_sinks: list[int]


@dataclass(frozen=True, slots=True)
class Measured:
    """Worker: this was measured here; once a second, and before its last words."""

    tag: ClassVar[int] = 30
    epoch: Epoch
    worker: WorkerName
    report: dict[str, Any]
    """As ``wallaroo.metrics.report`` describes it."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Worker: so many records were counted here; once a second, after failures, and when asked."""

    tag: ClassVar[int] = 31
    epoch: Epoch
    worker: WorkerName
    incarnation: Epoch
    """The epoch at which it last joined as if just started: it counts since then."""
    counts: dict[str, Any]
    """By worker, since it carries on the counts of others, then by node: four numbers as in
    ``wallaroo.metrics.tally``."""

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
    | Delivered | Release | Measured | Counted | Query | Replied | Request | Progress | Answer
    | AgentFrame
)  # fmt: skip

TYPE_OF_TAG: dict[int, type[ControlFrame]] = {kind.tag: kind for kind in get_args(ControlFrame)}
assert len(TYPE_OF_TAG) == len(get_args(ControlFrame)), "two frames share a tag"


def encode_control_frame(frame: ControlFrame) -> bytes:
    """Return ``frame`` with its length before it."""
    content: bytes = msgpack.packb(
        [frame.tag, *(getattr(frame, f.name) for f in fields(frame))],
        unicode_errors="backslashreplace",
    )
    return _LENGTH.pack(len(content)) + content


def decode_control_frame(content: bytes) -> ControlFrame:
    """Return the frame in ``content``, which came without its length."""
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
