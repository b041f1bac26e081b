"""Gives the rows of a sink back to the program that runs the cluster inside itself.

Rows travel over the control link. What a worker reports over it, such as the end of a checkpoint or
of its work, follows them there. So rows need no acknowledgement, and results of a key stay in order
when the key changes its worker.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from wallaroo.errors import ConfigError
from wallaroo.names import CheckpointId
from wallaroo.operators.failures import Failure, Site, describe_failure
from wallaroo.testing.doubles import KeptRows
from wallaroo.topology.plan import titled_sink
from wallaroo.worker.sink_port import FinishCut, SinkContext, nothing_to_name
from wallaroo_workers.giving_back import Refused
from wallaroo_workers.sinks.runner import ProcessSinkRunner


class KeptRowsRunner:
    """One such sink of one worker."""

    outbox = None
    preparing = None
    batches = None
    wait = None
    is_connected = True
    connection_count = 1
    queued_bytes = 0
    backlog_bytes = 0

    def __init__(self, context: SinkContext, give_back: Callable[[list[Any]], Refused]) -> None:
        self.stream = self
        self.name = context.name
        self.address = "the program"
        self.written_bytes = 0
        """Counts rows: their sizes are unknown."""
        self._context = context
        self._give_back = give_back
        self._closed = asyncio.Event()

    @property
    def settled_bytes(self) -> int:
        """The same as was written."""
        return self.written_bytes

    def write(self, rows: list[Any]) -> int:
        """Give rows back; those that cannot be pickled become dead letters."""
        refused = self._give_back(rows)
        if refused:
            failures = [self._failure(row, error) for row, error in refused]
            self._context.events.records_refused(self._context.index, failures)
        self.written_bytes += len(rows)
        return len(rows)

    def _failure(self, row: Any, error: BaseException) -> Failure:
        site = Site(self._context.pipeline, titled_sink(self.name), has_key=False)
        return describe_failure(error, site, None, row, None)

    async def run(self) -> None:
        """Wait for the end."""
        await self._closed.wait()

    async def connected(self) -> None:
        """Do nothing: the control link is there."""

    def settle(self) -> None:
        """Do nothing: rows are settled at once."""

    def hold(self, number: int) -> None:
        """Do nothing: see above."""

    def release(self, number: int) -> None:
        """Do nothing: nothing is held."""

    def drop_held(self) -> None:
        """Do nothing: nothing is held."""

    def cut(self, checkpoint: CheckpointId) -> FinishCut:
        """Do nothing: the report of the checkpoint follows the rows."""
        return nothing_to_name

    def cut_for_resize(self, checkpoint: CheckpointId) -> FinishCut:
        """Do nothing: see above."""
        return nothing_to_name

    def committed(self, checkpoint: CheckpointId) -> None:
        """Do nothing: what a checkpoint needed is written."""

    async def discard(self) -> None:
        """Do nothing: what is written is visible."""

    async def flush(self) -> None:
        """Do nothing: what is written is sent."""

    def close(self) -> None:
        """End ``run``."""
        self._closed.set()


def new_runner(sink: KeptRows, context: SinkContext) -> ProcessSinkRunner:
    """Return the runner of such a sink. Raises ``ConfigError`` in a run of the command."""
    if context.give_back is None:
        raise ConfigError(
            f"the sink {context.name!r} is a TestSink, which gives its records to the program that "
            "calls wallaroo.run()",
            hint="give wallaroo-run an application with another sink",
        )
    return KeptRowsRunner(context, context.give_back)
