"""What the machines of one worker share from one *Join* to the next."""

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from wallaroo.errors import WallarooError
from wallaroo.ingest.connection_handover import HandOver
from wallaroo.ingest.sources import Sources
from wallaroo.links.mesh import Mesh, MeshEvents
from wallaroo.metrics.tally import Counts
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.runtime.engine import Engine
from wallaroo.story import Story
from wallaroo.wire.control import ControlFrame, Counted, Drained
from wallaroo.worker.ports import WorkerPorts
from wallaroo.worker.worker_sinks import WorkerSinks


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerParts:
    """The parts of a worker that outlive its epochs."""

    ports: WorkerPorts
    engine: Engine
    sources: Sources
    sinks: WorkerSinks
    hand_over: HandOver
    mesh_events: MeshEvents
    story: Story


class WorkerContext:
    """One incarnation of a worker: its parts, its links and states, and the way to the initializer.

    An incarnation is named after the epoch at which the worker joined as if just started. With
    checkpoints it ends with the next loss; without them later epochs enter it.
    """

    def __init__(self, parts: WorkerParts, incarnation: Epoch) -> None:
        ports = parts.ports
        self._ports = ports
        self._story = parts.story
        self.engine = parts.engine
        self.sources = parts.sources
        self.sinks = parts.sinks
        self.hand_over = parts.hand_over
        self.incarnation = incarnation
        self.dataflow = ports.new_dataflow()
        self.engine.restart(self.dataflow)
        self.mesh = Mesh(ports.name, incarnation, ports, parts.mesh_events, ports.new_pressure())
        self._epoch = incarnation

    @property
    def me(self) -> WorkerName:
        """The worker's name."""
        return self._ports.name

    @property
    def epoch(self) -> Epoch:
        """The epoch that this worker puts into what it sends."""
        return self._epoch

    def enter(self, epoch: Epoch) -> None:
        """Enter an epoch that the initializer has begun without making workers join again."""
        assert epoch >= self._epoch, f"epoch {epoch} after {self._epoch}"
        self._epoch = epoch

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run this until it is done, or until the worker has to join again."""
        self._ports.start(work)

    def clock(self) -> float:
        """Return seconds from any origin."""
        return self._ports.clock()

    async def pause(self, delay_s: float, /) -> None:
        """Wait; 0 lets other coroutines run."""
        await self._ports.pause(delay_s)

    def warn(self, event: str, error: WallarooError) -> None:
        """Log a warning."""
        self._story.note("warned", event, error.what)
        self._ports.warn(event, error)

    # To the initializer

    def send(self, frame: ControlFrame) -> None:
        """Send a frame to the initializer."""
        if not isinstance(frame, Counted):
            self._story.note("sent", frame)
        self._ports.send(frame)

    def send_counts(self) -> None:
        """Send how many records were counted here."""
        self.send(Counted(self._epoch, self.me, self.incarnation, self._counts()))

    def send_drained(self, epoch: Epoch, checkpoint: CheckpointId) -> None:
        """Report that the sinks have everything. A worker sends nothing after that."""
        self.send(Drained(epoch, checkpoint, self.incarnation, self._counts()))

    def _counts(self) -> dict[str, Counts]:
        return self._ports.counts(self.dataflow)

    def backlog_changed(self) -> None:
        """Pause or resume all sources, depending on the backlog."""
        inbox_bytes = self.engine.inbox.byte_count
        backlog_bytes = inbox_bytes + self.mesh.backlog_bytes + self.sinks.backlog_bytes
        self.mesh.backlog_changed(backlog_bytes, inbox_bytes)
        self.engine.schedule()
