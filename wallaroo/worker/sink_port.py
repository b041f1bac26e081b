"""What a worker's machines need from its sinks, real or simulated."""

from collections.abc import Awaitable, Callable
from typing import Protocol

from wallaroo.checkpoint.manifest import StagedOutput
from wallaroo.errors import WallarooError
from wallaroo.names import CheckpointId, SinkId
from wallaroo.worker.result_order import ResultOrder


class SinkEvents(Protocol):
    """What the sinks report to their worker."""

    def backlog_changed(self) -> None:
        """A sink has accepted something."""
        ...

    def sink_failed(self, error: WallarooError) -> None:
        """A sink cannot be written, so the run cannot go on."""
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
        """How many bytes wait for a sink."""
        ...

    async def connected(self) -> None:
        """Wait until every sink is connected."""
        ...

    def cut(self, checkpoint: CheckpointId) -> Callable[[], Awaitable[list[StagedOutput]]]:
        """Make everything written so far part of ``checkpoint``.

        Return a function that waits until all of it is durable or acknowledged, and returns what is
        staged. It need not be called, because the epoch may end first.
        """
        ...

    def cut_files(
        self, checkpoint: CheckpointId, *, is_staged: bool
    ) -> Callable[[], Awaitable[list[StagedOutput]]]:
        """Do what ``cut`` does for file sinks alone, so that later output follows this output.

        If output is not staged, the function waits until all of it is written and returns nothing.
        """
        ...

    def committed(self, checkpoint: CheckpointId) -> None:
        """Note that the checkpoint is committed."""
        ...

    async def discard(self) -> None:
        """Discard all staged output that belongs to no checkpoint."""
        ...

    async def flush(self) -> None:
        """Wait until the sinks have everything, then close the connections."""
        ...
