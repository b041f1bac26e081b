"""The boundary of a worker: what its machines may ask of the process that they run in.

A real process (``wallaroo_workers.worker``) and a simulated one (``wallaroo.testing.worker``) both
implement it. Events go the other way, through the methods of ``WorkerMachine``.
"""

from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, Protocol

from wallaroo.checkpoint.journaling import Journal
from wallaroo.checkpoint.manifest_log import ManifestLog
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.checkpoint.restorer import UnreadableKey
from wallaroo.checkpoint.share_writer import Limits
from wallaroo.checkpoint.store import ObjectStore, Pause
from wallaroo.errors import WallarooError
from wallaroo.ingest.connection_handover import HandOver, HandOverEvents
from wallaroo.ingest.source_ports import SourceEvents
from wallaroo.ingest.sources import Sources
from wallaroo.links.back_pressure import Pressure
from wallaroo.links.mesh import Dialer, Mesh
from wallaroo.metrics.deliveries import Deliveries
from wallaroo.metrics.tally import Counts
from wallaroo.names import WorkerName
from wallaroo.operators.dataflow import Dataflow
from wallaroo.operators.failures import Failure
from wallaroo.runtime.calls import Calls
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.engine_ports import EngineLoop
from wallaroo.topology.plan import Application
from wallaroo.wire.control import ControlFrame
from wallaroo.worker.outbox import OutboxLimits
from wallaroo.worker.sink_port import SinkEvents
from wallaroo.worker.worker_sinks import WorkerSinks


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableStorage:
    """What outlives the process of a worker."""

    store: ObjectStore
    manifests: ManifestLog
    """Restores read through its store, which may wait until an unreachable store can be reached."""
    journal: Journal
    pause: Pause
    limits: Limits
    outbox_limits: OutboxLimits = field(default_factory=OutboxLimits)


class WorkerPorts(Dialer, Protocol):
    """What a worker's machines may ask of its process."""

    # The worker itself

    @property
    def name(self) -> WorkerName:
        """The worker's name."""
        ...

    @property
    def pid(self) -> int:
        """The id of its process."""
        ...

    @property
    def plan(self) -> Application:
        """The application."""
        ...

    @property
    def durable(self) -> DurableStorage | None:
        """Where checkpoints go; ``None`` if they are off."""
        ...

    @property
    def pickler(self) -> StatePickler:
        """The pickler of state objects."""
        ...

    @property
    def deliveries(self) -> Deliveries | None:
        """What measures the latency of results; ``None`` if nothing is measured."""
        ...

    @property
    def calls(self) -> Calls:
        """What makes the calls for records that wait at a step."""
        ...

    # Its parts, each made once

    def new_sources(self, engine: Engine, events: SourceEvents) -> Sources:
        """Return all sources of this worker."""
        ...

    def new_sinks(self, events: SinkEvents) -> WorkerSinks:
        """Return all sinks of this worker."""
        ...

    def new_hand_over(self, events: HandOverEvents) -> HandOver:
        """Return what passes connections of senders to other workers, and accepts theirs."""
        ...

    # The parts of an epoch

    def new_dataflow(self) -> Dataflow:
        """Return the chains and empty states of an epoch."""
        ...

    def new_pressure(self) -> Pressure:
        """Return what compares the backlogs of an epoch."""
        ...

    async def listen(self, mesh: Mesh) -> str:
        """Accept links for this mesh alone; return the address."""
        ...

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this as a task until it is done, or until ``end_epoch``."""
        ...

    def end_epoch(self) -> None:
        """Cancel everything that ``start`` started."""
        ...

    # Time

    def clock(self) -> float:
        """Return seconds from any origin."""
        ...

    def wall_ns(self) -> int:
        """Return the time in nanoseconds since 1970."""
        ...

    async def pause(self, delay_s: float, /) -> None:
        """Wait; 0 lets other coroutines run."""
        ...

    @property
    def loop(self) -> EngineLoop:
        """The event loop of the process."""
        ...

    # Actions

    def send(self, frame: ControlFrame) -> None:
        """Send a frame to the initializer."""
        ...

    def before_first_open(self) -> None:
        """Prepare the process for its first record."""
        ...

    def leave_out(self, checkpoint: int, keys: list[UnreadableKey]) -> None:
        """Note that these keys of a checkpoint are lost.

        Raises ``WallarooError`` if the run must not go on without them.
        """
        ...

    def records_failed(self, failures: list[Failure]) -> None:
        """Keep these records as dead letters."""
        ...

    def counts(self, dataflow: Dataflow) -> dict[str, Counts]:
        """Return what this dataflow has counted.

        A result counts as output only when the sink has acknowledged it.
        """
        ...

    def report(self, event: str, values: dict[str, Any]) -> None:
        """Log one line."""
        ...

    def warn(self, event: str, error: WallarooError) -> None:
        """Log a warning."""
        ...

    def end(self, status: int) -> None:
        """End the process with this status."""
        ...
