"""What happens to a cluster, as its coordinator hears it, and what the coordinator has done."""

from dataclasses import dataclass, field
from typing import Any

from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.errors import WallarooError
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.wire.control import ControlFrame


@dataclass(frozen=True, slots=True)
class Received:
    """A control frame came from a worker."""

    worker: WorkerName
    frame: ControlFrame


@dataclass(frozen=True, slots=True)
class WorkerLost:
    """A worker's process ended, or its control link broke."""

    worker: WorkerName
    incarnation: Epoch
    reason: str


@dataclass(frozen=True, slots=True)
class StopRequested:
    """Somebody wants the cluster to stop; the second time, at once if it ``may_force``."""

    may_force: bool = True


@dataclass(frozen=True, slots=True)
class DrainRequested:
    """Somebody wants the sources closed and the rest finished, and the processes to stay."""


@dataclass(frozen=True, slots=True)
class CheckpointDue:
    """It is time for a checkpoint, or somebody asked for one."""


@dataclass(frozen=True, slots=True)
class ManifestWritten:
    """The manifest asked for by ``WriteManifest`` stands."""

    number: int
    oldest_number: int
    """Of the oldest manifest that is kept."""
    journals: tuple[JournalPosition, ...] = field(default=(), repr=False)
    """All positions in it; many, so stories leave them out."""


@dataclass(frozen=True, slots=True)
class ManifestNotWritten:
    """The manifest asked for by ``WriteManifest`` does not stand."""

    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class ResizeRequested:
    """Somebody wants other members; ``Answer`` follows, once, with this id."""

    request_id: int
    added: tuple[WorkerName, ...]
    """Names that no worker of this run has had."""
    leaving: tuple[WorkerName, ...]


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Start the process of this worker; ``is_restart`` where one was lost before."""

    worker: WorkerName
    incarnation: Epoch
    is_restart: bool
    is_joining: bool = False
    """The application is ready without it."""


@dataclass(frozen=True, slots=True)
class EndWorker:
    """This worker is no member, or never was one: see to it that its process ends.

    One ``is_told`` has an order to stop, and gets time for it.
    """

    worker: WorkerName
    is_told: bool


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """From now on these are the members, and own what these maps say."""

    workers: tuple[WorkerName, ...]
    partition_maps: list[Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a request; ``text`` is for people."""

    request_id: int
    ok: bool
    text: str
    facts: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Send:
    """Send a frame to each of these workers."""

    workers: tuple[WorkerName, ...]
    frame: ControlFrame


@dataclass(frozen=True, slots=True)
class Publish:
    """The application is ready to take records, for the first time or again."""

    epoch: Epoch
    is_again: bool


@dataclass(frozen=True, slots=True)
class Announce:
    """One line for people: what happened to the cluster, and what happens next."""

    event: str
    values: dict[str, Any]
    next: str
    is_warning: bool = False
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class WriteManifest:
    """Write the manifest of a checkpoint; answer with ``ManifestWritten`` or ``…NotWritten``."""

    checkpoint: CheckpointId
    epoch: Epoch
    contents: dict[WorkerName, list[Any]] = field(repr=False)
    """What each worker saved, as it told it; long, so stories leave it out."""


@dataclass(frozen=True, slots=True)
class EndCluster:
    """End every process; the command's exit status follows from ``error``."""

    error: WallarooError | None


Event = (
    Received | WorkerLost | StopRequested | DrainRequested | ResizeRequested
    | CheckpointDue | ManifestWritten | ManifestNotWritten
)  # fmt: skip
Effect = (
    StartWorker | EndWorker | Send | Publish | Announce | WriteManifest | MembersChanged | Answer
    | EndCluster
)  # fmt: skip
