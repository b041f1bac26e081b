"""What a source that is read by split has to do, and what it reports."""

from collections.abc import Mapping
from typing import Any, Protocol

from wallaroo.checkpoint.split_positions import SplitPosition
from wallaroo.errors import WallarooError


class SplitSource(Protocol):
    """The splits of one source that this worker reads; the engine takes their records.

    Which splits these are is the initializer's decision, see ``wallaroo.coordinator.splits``. All
    calls come from the loop's thread, and those that are not coroutines do not wait.
    """

    @property
    def resumes(self) -> bool:
        """Whether the source is asked where a run goes on with the splits of an earlier run."""
        ...

    @property
    def discovery_s(self) -> float | None:
        """Seconds between two discoveries; ``None`` to ask once, whenever sources are opened."""
        ...

    def start(self) -> None:
        """Read the splits that are added, those added before included."""
        ...

    def add(self, split: str, position: SplitPosition, /) -> None:
        """Read this split from now on. It is not one of those that are read here already.

        No record of a split of kind ``INITIAL`` or ``EARLIER`` is handed out before it is known
        where this run starts. One of kind ``ENDED`` is not read; it counts as ended here.
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
        """Wait until it is known of each split where this run starts to read it."""
        ...

    @property
    def ended(self) -> dict[str, str]:
        """The splits that have ended: why each broke off, empty if it did not."""
        ...

    @property
    def reconnect_count(self) -> int:
        """How often the connection was made anew after an error."""
        ...

    @property
    def split_count(self) -> int:
        """How many splits this worker reads."""
        ...

    @property
    def lag(self) -> int | None:
        """The sum of the lags that are known; ``None`` if none is."""
        ...

    def worst_facts(self, count_max: int) -> list[dict[str, Any]]:
        """Return ``facts`` of the splits that failed or do not go on, then of those that lag."""
        ...

    def facts(self) -> list[dict[str, Any]]:
        """Return of each split what ``wallaroo.metrics.report`` says of it."""
        ...

    def committed(self, positions: Mapping[str, SplitPosition], /) -> None:
        """A checkpoint with these positions, which ``positions`` returned, is committed."""
        ...


class SplitSourceEvents(Protocol):
    """What a source that is read by split reports."""

    def split_ended(self, pipeline: int, split: str, problem: str, /) -> None:
        """A split has ended, and all its records are taken.

        ``problem`` says why it broke off; it is empty if it did not.
        """
        ...

    def source_failed(self, error: WallarooError, /) -> None:
        """The source cannot be read on, so the run has to end."""
        ...
