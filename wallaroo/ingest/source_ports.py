"""What the sources of one worker are made of, real or simulated."""

from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Protocol

from wallaroo.connectors.base import Assignment, Source
from wallaroo.errors import WallarooError
from wallaroo.ingest.connection_handover import ConnectionCopy
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.ingest.split_ports import SplitSource, SplitSourceEvents
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.waiting import Flag
from wallaroo.topology.plan import Application


class SourceListener(Protocol):
    """Accepts the senders of one pipeline and reads what they send."""

    async def listen(self, address: str) -> None:
        """Accept senders from now on; raises ``OSError``."""
        ...

    def rewind(self) -> None:
        """Forget what waits to be processed: it is in the journal, which will be replayed."""
        ...

    async def drain(self) -> None:
        """Take what senders had sent before this call, then close everything."""
        ...

    async def stop_accepting(self) -> None:
        """Accept the connections that wait in the kernel, then none until ``listen``."""
        ...

    def copies(self) -> Iterable[ConnectionCopy]:
        """Yield copies of all connections, which must be paused. May raise ``OSError``."""
        ...

    def detach(self) -> None:
        """Forget all connections; copies of them stay open."""
        ...

    def take_over(self, copy: ConnectionCopy) -> None:
        """Read a connection from where another worker stopped."""
        ...

    @property
    def connection_count(self) -> int:
        """How many senders are connected."""
        ...

    @property
    def end(self) -> str | None:
        """``None`` as long as it may have more; empty once it has ended."""
        ...


def listens(source: Source) -> bool:
    """Return whether the runner of a source is a ``SourceListener``.

    It is if all workers run it, or if others decide when records arrive: such a source needs a
    journal, and is not made anew when the worker goes back, but stays connected.
    """
    return source.assignment is Assignment.EVERY_WORKER or source.keeps_journal


class PlacedSource(Protocol):
    """A source that runs on one worker only; the engine takes its records."""

    def start(self) -> None:
        """Begin, or go on from the restored position."""
        ...

    def stop(self) -> None:
        """Deliver no more records."""
        ...

    def position(self) -> Any:
        """Return where it is, as msgpack packs it: all before is taken."""
        ...

    def restore(self, position: Any) -> None:
        """Set the position from which ``start`` goes on."""
        ...

    @property
    def end(self) -> str | None:
        """``None`` as long as it may have more; else why it ended early, empty if it did not."""
        ...


class SourcePorts(Protocol):
    """What the sources of one worker are made of, and what they may ask of its process."""

    @property
    def plan(self) -> Application:
        """The application."""
        ...

    @property
    def engine(self) -> Engine:
        """The engine that takes the records."""
        ...

    @property
    def intake(self) -> ReadBudget:
        """How much all connections together may have read."""
        ...

    @property
    def listeners(self) -> Mapping[int, SourceListener]:
        """The listening sources, by pipeline."""
        ...

    @property
    def replayed(self) -> Flag:
        """Set while no journal has to be replayed."""
        ...

    def new_placed(self, index: int) -> PlacedSource:
        """Return what runs the source of this pipeline."""
        ...

    def new_split_source(self, index: int) -> SplitSource:
        """Return what reads splits of the source of this pipeline; it reports ``SourceEvents``."""
        ...

    async def all_of(self, works: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Run these at the same time; return when the last one has ended."""
        ...

    def report(self, event: str, values: dict[str, Any]) -> None:
        """Log one line."""
        ...


class SourceEvents(SplitSourceEvents, Protocol):
    """What the sources report to their worker."""

    def source_ended(self) -> None:
        """One more source with an end, a file, has ended."""
        ...

    def source_failed(self, error: WallarooError) -> None:
        """A source or a journal cannot be read on: the run ends."""
        ...
