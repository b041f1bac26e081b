"""What the engine needs around it: sources, links to other workers, and the worker itself."""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, Protocol

from wallaroo.names import EdgeId, SinkId
from wallaroo.operators.dataflow import OutgoingBatch
from wallaroo.operators.failures import Failure
from wallaroo.runtime.inbox import Link
from wallaroo.wire.data_frames import Barrier, MovingFrame


class EngineLoop(Protocol):
    """The event loop that the engine takes its turns in."""

    def call_soon(self, turn: Callable[[], None]) -> object:
        """Call ``turn`` in the next iteration of the loop."""
        ...

    def call_later(self, delay_s: float, run: Callable[[], object]) -> object:
        """Call ``run`` after a delay."""
        ...


class Origin(NamedTuple):
    """Where and when records were read."""

    channel: Hashable
    """Anything within a source that has an order of its own: a connection, a split."""
    read_ns: int
    """Nanoseconds since 1970, the same in a replay; 0: now."""


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
        """When the next records were read by a worker; 0 if that is not measured."""
        ...

    @property
    def origin(self) -> Origin:
        """Where and when the next records were read; asked for only if records need times."""
        ...

    def take(self, record_count_max: int) -> list[Any]:
        """Return the next records, which the engine owns from now on."""
        ...

    def batch_consumed(self) -> None:
        """Read on, since all records are taken and processed."""
        ...


class BatchLink(Protocol):
    """The link to another worker."""

    def send_batch(self, batch: OutgoingBatch) -> None:
        """Send a batch, now or as soon as the link is connected."""
        ...

    def send_clock(self, edge: EdgeId, time: int, status: int) -> None:
        """Send a watermark behind all batches."""
        ...


class EngineEvents(Protocol):
    """What the engine asks its worker, and what it reports.

    None of these calls waits. All but ``states_received`` are made during a turn or a ``flush``.
    """

    @property
    def must_pause(self) -> bool:
        """Whether sources have to pause, because a worker has too much unprocessed."""
        ...

    def flushing(self) -> None:
        """Something is about to leave this worker."""
        ...

    def output_made(self, sink: SinkId, rows: list[Any]) -> int:
        """Write rows to a sink; return how many bytes they count as.

        The list is valid only during the call.
        """
        ...

    def barrier_received(self, link: Link, barrier: Barrier) -> None:
        """Everything before this barrier of another worker is processed."""
        ...

    def states_received(self, link: Link, frame: MovingFrame) -> None:
        """Another worker has sent states. These do not wait for records in the inbox."""
        ...

    def records_failed(self, failures: list[Failure]) -> None:
        """User code could not process these records. The engine goes on with the next ones."""
        ...

    def engine_stopped(self, failure: Failure) -> None:
        """The engine has stopped for good, because this failure must stop the run."""
        ...

    def turn_ended(self) -> None:
        """All results of a turn have been passed on."""
        ...
