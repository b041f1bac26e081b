"""The boundary of a worker: what its decisions may ask of the process that they are made in.

A real process (``wallaroo_workers.worker``) and a simulated one (``wallaroo.testing.worker``) both
implement it. What happens comes the other way, through the methods of ``WorkerMachine``.
"""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
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
from wallaroo.runtime.engine import Engine
from wallaroo.topology.plan import Application
from wallaroo.wire.control import ControlFrame
from wallaroo.worker.sink_port import SinkEvents, Sinks


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableStorage:
    """What a worker keeps beyond its own life."""

    store: ObjectStore
    manifests: ManifestLog
    """Checkpoints to go back to are read through its store, which may wait for one that is away."""
    journal: Journal
    pause: Pause
    limits: Limits


class WorkerPorts(Dialer, Protocol):
    """What a worker's decisions may ask of its process."""

    # What the worker is

    @property
    def name(self) -> WorkerName:
        """The worker's name."""
        ...

    @property
    def pid(self) -> int:
        """The number of its process."""
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
        """How state objects become bytes."""
        ...

    @property
    def deliveries(self) -> Deliveries | None:
        """Where results on their way to sinks are noted; ``None`` if nothing is measured."""
        ...

    # Its parts, each made once

    def new_sources(self, engine: Engine, events: SourceEvents) -> Sources:
        """Return all sources of this worker."""
        ...

    def new_sinks(self, events: SinkEvents) -> Sinks:
        """Return all sinks of this worker."""
        ...

    def new_hand_over(self, events: HandOverEvents) -> HandOver:
        """Return what passes connections of senders to other workers, and accepts theirs."""
        ...

    # The parts of an epoch

    def new_dataflow(self) -> Dataflow:
        """Return chains and states for an epoch, with nothing in them."""
        ...

    def new_pressure(self) -> Pressure:
        """Return what knows of the backlogs in an epoch."""
        ...

    async def listen(self, mesh: Mesh) -> str:
        """Accept links for this mesh, and no other any more; return the address."""
        ...

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this beside everything else until it is done, or until ``end_epoch``."""
        ...

    def end_epoch(self) -> None:
        """Cancel everything that ``start`` started."""
        ...

    # Time

    def clock(self) -> float:
        """Return seconds from any origin."""
        ...

    async def pause(self, delay_s: float, /) -> None:
        """Wait; 0 lets others have their turn."""
        ...

    def call_soon(self, turn: Callable[[], None]) -> object:
        """Call ``turn`` in the next iteration of the loop."""
        ...

    # What the worker says and does

    def send(self, frame: ControlFrame) -> None:
        """Send a frame to the initializer."""
        ...

    def before_first_open(self) -> None:
        """Records are about to run for the first time in this process."""
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

        Results count as out of a sink only when the sink has them.
        """
        ...

    def report(self, event: str, values: dict[str, Any]) -> None:
        """Log one line."""
        ...

    def warn(self, event: str, error: WallarooError) -> None:
        """Log a warning; the worker goes on."""
        ...

    def end(self, status: int) -> None:
        """End the process with this status."""
        ...
