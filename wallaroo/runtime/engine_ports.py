"""What the engine needs around it: sources, links to other workers, and the worker itself."""

from typing import Any, Protocol

from wallaroo.names import SinkId
from wallaroo.operators.dataflow import OutgoingBatch
from wallaroo.operators.failures import Failure
from wallaroo.runtime.inbox import Link
from wallaroo.wire.data_frames import Barrier, MovingFrame


class SourceRunner(Protocol):
    """Where the engine takes records from, a slice at a time."""

    @property
    def pipeline(self) -> int:
        """The pipeline these records are for."""
        ...

    @property
    def has_records(self) -> bool:
        """Whether ``take`` would return any."""
        ...

    @property
    def delivered_ns(self) -> int:
        """When what ``take`` returns next came to this worker; 0 where that says nothing."""
        ...

    def take(self, record_count_max: int) -> list[Any]:
        """Return the next records; they are the engine's from now on."""
        ...

    def batch_consumed(self) -> None:
        """Everything is taken and processed: read on."""
        ...


class BatchLink(Protocol):
    """The way to another worker."""

    def send_batch(self, batch: OutgoingBatch) -> None:
        """Send a batch, now or as soon as the link stands."""
        ...


class EngineEvents(Protocol):
    """What the engine asks of the worker whose records it runs, and what it reports to it.

    None of these calls waits. All but ``states_received`` come from within a turn or a ``flush``.
    """

    @property
    def must_pause(self) -> bool:
        """Whether sources have to wait: this worker or another one has too much unprocessed."""
        ...

    def flushing(self) -> None:
        """Something is about to leave this worker."""
        ...

    def output_made(self, sink: SinkId, chunk: bytes) -> None:
        """Whole records for a sink."""
        ...

    def barrier_received(self, link: Link, barrier: Barrier) -> None:
        """Everything before this barrier of another worker is processed."""
        ...

    def states_received(self, link: Link, frame: MovingFrame) -> None:
        """Another worker gives states. These are not records, so they wait for none."""
        ...

    def records_failed(self, failures: list[Failure]) -> None:
        """User code could not process these records; the engine goes on behind them."""
        ...

    def engine_stopped(self, failure: Failure) -> None:
        """The run has to stop because of this record; the engine runs no more."""
        ...

    def turn_ended(self) -> None:
        """Everything that came out of a turn is handed on."""
        ...
