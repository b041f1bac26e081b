"""What happens to a cluster, as its coordinator hears it, and what the coordinator has done."""

from dataclasses import dataclass, field
from typing import Any

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


@dataclass(frozen=True, slots=True)
class ManifestNotWritten:
    """The manifest asked for by ``WriteManifest`` does not stand."""

    reason: str


@dataclass(frozen=True, slots=True)
class StartWorker:
    """Start the process of this worker; ``is_restart`` where one was lost before."""

    worker: WorkerName
    incarnation: Epoch
    is_restart: bool


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
    """One line for people: what happened to the cluster."""

    event: str
    values: dict[str, Any]
    is_warning: bool = False


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
    Received | WorkerLost | StopRequested | DrainRequested
    | CheckpointDue | ManifestWritten | ManifestNotWritten
)  # fmt: skip
Effect = StartWorker | Send | Publish | Announce | WriteManifest | EndCluster
