"""What the sources of one worker are made of, whatever these really are."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol

from wallaroo.errors import WallarooError
from wallaroo.ingest.connection_handover import Handed
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.waiting import Flag
from wallaroo.topology.plan import Application, Pipeline


class SourceListener(Protocol):
    """Takes what senders send for one pipeline."""

    async def listen(self, address: str) -> None:
        """Accept senders from now on; raises ``OSError``."""
        ...

    def rewind(self) -> None:
        """Forget what waits to be processed: it stands in the journal, which is replayed."""
        ...

    async def drain(self) -> None:
        """Take what senders had sent when this was called, then close everything."""
        ...

    async def stop_accepting(self) -> None:
        """Accept those who wait, and nobody more until ``listen``."""
        ...

    def handed(self) -> Iterable[Handed]:
        """Copy all connections, which nobody reads; to go through them raises ``OSError``."""
        ...

    def detach(self) -> None:
        """Forget all connections; copies of them stay open."""
        ...

    def take_over(self, handed: Handed) -> None:
        """Read on where another worker has stopped, as if the sender had connected here."""
        ...

    @property
    def connection_count(self) -> int:
        """Senders that are connected."""
        ...


class PlacedSource(Protocol):
    """A source that runs on one worker only; the engine takes its records."""

    def start(self) -> None:
        """Begin, or go on from the position that was restored."""
        ...

    def stop(self) -> None:
        """Hand out no more records."""
        ...

    def position(self) -> Any:
        """Return where it is, as msgpack packs it: all before is taken."""
        ...

    def restore(self, position: Any) -> None:
        """Have ``start`` go on there."""
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

    def new_placed(
        self, index: int, pipeline: Pipeline, on_ended: Callable[[], None]
    ) -> PlacedSource:
        """Return what runs the source of this pipeline; it calls ``on_ended`` when it has ended."""
        ...

    async def all_of(self, works: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Run these at the same time; return when the last one has ended."""
        ...

    def report(self, event: str, values: dict[str, Any]) -> None:
        """Log one line."""
        ...


class SourceEvents(Protocol):
    """What the sources report to their worker."""

    def source_ended(self) -> None:
        """One more source with an end, a file, has ended."""
        ...

    def replay_failed(self, error: WallarooError) -> None:
        """A journal cannot be read on."""
        ...
