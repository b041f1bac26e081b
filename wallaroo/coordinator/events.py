"""The events that the coordinator takes, and the effects that it returns."""

from dataclasses import dataclass, field
from typing import Any

from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.errors import WallarooError
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.wire.control import ControlFrame


@dataclass(frozen=True, slots=True)
class Received:
    """A control frame arrived from a worker."""

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
    """A request to stop the cluster. The second one that ``may_force`` stops it immediately."""

    may_force: bool = True


@dataclass(frozen=True, slots=True)
class DrainRequested:
    """A request to close the sources and finish the rest, and to keep the processes running."""


@dataclass(frozen=True, slots=True)
class CheckpointDue:
    """A checkpoint is due, or was requested."""


@dataclass(frozen=True, slots=True)
class ManifestWritten:
    """The manifest ordered by ``WriteManifest`` is committed."""

    number: int
    oldest_number: int
    """The number of the oldest manifest that is kept."""
    journals: tuple[JournalPosition, ...] = field(default=(), repr=False)
    """All journal positions in it; there are many, so stories omit them."""
    cuts: tuple[CheckpointId, ...] = ()
    """The cuts of the results in it that sinks do not have yet, lowest first."""
    has_prepared: bool = False
    """Whether it names work that sinks have prepared."""


@dataclass(frozen=True, slots=True)
class ManifestNotWritten:
    """The manifest ordered by ``WriteManifest`` was not written."""

    reason: str
    hint: str = ""


@dataclass(frozen=True, slots=True)
class ResizeRequested:
    """A request for a resize; one ``Answer`` with this id follows."""

    request_id: int
    added: tuple[WorkerName, ...]
    """Names of workers that are not members; a worker that has left may come back."""
    leaving: tuple[WorkerName, ...]


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Start the process of this worker; ``is_restart`` if an earlier one was lost."""

    worker: WorkerName
    incarnation: Epoch
    is_restart: bool
    is_joining: bool = False
    """Whether the worker joins in a resize: the application is ready without it."""


@dataclass(frozen=True, slots=True)
class EndWorker:
    """End the process of a worker that is not a member, or not any more.

    If it ``is_stopping``, it was ordered to stop, and gets time to do so before it is killed.
    """

    worker: WorkerName
    is_stopping: bool


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """The cluster has these members and partition maps from now on."""

    workers: tuple[WorkerName, ...]
    partition_maps: list[Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """The outcome of a request; ``text`` is for people."""

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
    """The application is ready to accept records, for the first time or again."""

    epoch: Epoch
    is_again: bool


@dataclass(frozen=True, slots=True)
class Announce:
    """A line of the log: what happened to the cluster, and what happens next."""

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
    """What each worker saved, as it reported it; long, so stories omit it."""


@dataclass(frozen=True, slots=True)
class SettleManifest:
    """Write the last checkpoint again without results to deliver: the sinks have all of them.

    The answer is that to ``WriteManifest``. Sinks may forget numbers before the next start.
    """

    checkpoint: CheckpointId
    epoch: Epoch


@dataclass(frozen=True, slots=True)
class EndCluster:
    """End every process. The command's exit status depends on ``error``."""

    error: WallarooError | None


Event = (
    Received | WorkerLost | StopRequested | DrainRequested | ResizeRequested
    | CheckpointDue | ManifestWritten | ManifestNotWritten
)  # fmt: skip
Effect = (
    StartWorker | EndWorker | Send | Publish | Announce | WriteManifest | SettleManifest
    | MembersChanged | Answer | EndCluster
)  # fmt: skip
