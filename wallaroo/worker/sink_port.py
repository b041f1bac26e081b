"""What a worker's decisions need of its sinks, whatever these really are."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from wallaroo.checkpoint.manifest import StagedOutput
from wallaroo.errors import WallarooError
from wallaroo.names import CheckpointId, SinkId
from wallaroo.worker.result_order import ResultOrder


class SinkEvents(Protocol):
    """What the sinks report to their worker."""

    def backlog_changed(self) -> None:
        """A sink has taken something."""
        ...

    def sink_failed(self, error: WallarooError) -> None:
        """A sink cannot be written: the run cannot go on."""
        ...


class Sinks(Protocol):
    """All sinks of one worker."""

    order: ResultOrder
    """Holds and releases streams when keys change their worker."""

    def write(self, sink: SinkId, chunk: bytes) -> None:
        """Queue whole records for a sink."""
        ...

    @property
    def backlog_bytes(self) -> int:
        """Bytes that no sink has taken yet."""
        ...

    async def connected(self) -> None:
        """Wait until every sink is connected."""
        ...

    def cut(self, checkpoint: CheckpointId) -> Callable[[], Awaitable[list[StagedOutput]]]:
        """Have what was written until now belong to ``checkpoint``; return what waits for it.

        Its result is there once all of it is safe. It need not be called: the epoch may end first.
        """
        ...

    def cut_files(
        self, checkpoint: CheckpointId, *, is_staged: bool
    ) -> Callable[[], Awaitable[list[StagedOutput]]]:
        """As ``cut``, for files alone: what any worker writes to them later belongs behind this.

        Where output is not staged, the result is empty, and there once all of it is written.
        """
        ...

    def committed(self, checkpoint: CheckpointId) -> None:
        """The checkpoint stands."""
        ...

    async def discard(self) -> None:
        """Give up all staged output that belongs to no checkpoint."""
        ...

    async def flush(self) -> None:
        """Wait until the sinks have everything, then hang up."""
        ...
