"""What the sources of one worker are made of, whatever these really are."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, Protocol

from wallaroo.checkpoint.split_positions import SplitPosition
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


class SplitSource(Protocol):
    """The splits of one source that this worker reads; the engine takes their records.

    Which splits these are is the initializer's decision, see ``wallaroo.coordinator.splits``. All
    calls come from the loop's thread, and those that are not coroutines do not wait.
    """

    def start(self) -> None:
        """Read the splits that are added, those added before included."""
        ...

    def add(self, split: str, position: SplitPosition, /) -> None:
        """Read this split from now on. It is not one of those that are read here already.

        No record of a split of kind ``INITIAL`` is handed out before its first position is known.
        One of kind ``ENDED`` is not read; it counts as ended here.
        """
        ...

    def remove(self, split: str, /) -> SplitPosition:
        """Read this split no more; return its position, and drop what was fetched behind it."""
        ...

    def positions(self) -> dict[str, SplitPosition]:
        """Return where each split is: all before is taken by the engine, and nothing behind.

        A split is ``ENDED`` only once all its records are taken. Raises ``WallarooError`` if a
        position cannot be packed.
        """
        ...

    def stop(self) -> None:
        """Hand out no more records; positions stay as they are."""
        ...

    async def close(self) -> None:
        """Close the reader and wait until it reads no more, for a limited time."""
        ...

    async def discover(self) -> list[str]:
        """Return all splits that the source has now. It is not called again before it returns.

        If the source cannot be asked, this tries again; it returns nothing that is not an answer.
        """
        ...

    async def resolved(self) -> None:
        """Wait until the first position of each split of kind ``INITIAL`` is known."""
        ...

    @property
    def ended(self) -> dict[str, str]:
        """The splits that have ended: why each broke off, empty if it did not."""
        ...

    def committed(self, positions: Mapping[str, SplitPosition], /) -> None:
        """A checkpoint with these positions, which ``positions`` returned, is committed."""
        ...


class SplitSourceEvents(Protocol):
    """What a source that is read by split reports."""

    def split_ended(self) -> None:
        """One more split has ended, and all its records are taken."""
        ...

    def source_failed(self, error: WallarooError, /) -> None:
        """The source cannot be read on, so the run has to end."""
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
