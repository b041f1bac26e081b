"""What the sources of one worker are made of, whatever these really are."""

from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from wallaroo.ingest.connection_handover import Handed
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.waiting import Flag
from wallaroo.topology.plan import Pipeline, Plan


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

    def let_go(self) -> None:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceParts:
    """What the sources of one worker are made of."""

    plan: Plan
    engine: Engine
    intake: ReadBudget
    listeners: Mapping[int, SourceListener]
    """By pipeline."""
    new_placed: Callable[[int, Pipeline, Callable[[], None]], PlacedSource]
    """Makes what runs the source of a pipeline; it calls the function when it has ended."""
    replayed: Flag
    all_of: Callable[[Iterable[Coroutine[Any, Any, None]]], Coroutine[Any, Any, None]]
    """Runs them at the same time."""
    tell: Callable[[str, dict[str, Any]], None]
    """One line for people."""
