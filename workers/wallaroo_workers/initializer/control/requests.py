"""Dispatches requests to a running cluster by their names."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from wallaroo.coordinator.events import Effect, Event
from wallaroo.coordinator.run_requests import may_matter
from wallaroo.errors import ConfigError, WallarooError
from wallaroo.names import WorkerName
from wallaroo.wire.requests import Replied
from wallaroo_workers.initializer.control.clock_queries import ClockQueries
from wallaroo_workers.initializer.control.commands import Commands, Progress
from wallaroo_workers.initializer.control.deletion import Deletion
from wallaroo_workers.initializer.control.parameters import Parameters
from wallaroo_workers.initializer.control.queries import Queries
from wallaroo_workers.initializer.control.run_context import Reach
from wallaroo_workers.initializer.control.worker_queries import WorkerQueries


class Requests:
    """The requests of one run."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._worker_queries = WorkerQueries(reach)
        queries, self._commands = Queries(reach, self._worker_queries), Commands(reach)
        deletion = Deletion(reach, self._worker_queries, queries)
        self._methods: dict[str, Callable[[Parameters], Awaitable[dict[str, Any]]]] = {
            "status": queries.status,
            "partitions": queries.partitions,
            "keys": queries.keys,
            "splits": queries.splits,
            "clocks": ClockQueries(reach, self._worker_queries).clocks,
            "get": queries.get,
            "logs": queries.logs,
            "events": queries.events,
            "sources": queries.sources,
            "delete": deletion.delete,
            "checkpoint": self._commands.checkpoint,
            "stop": self._commands.stop,
            "drain": self._commands.drain,
            "grow": self._commands.grow,
            "shrink": self._commands.shrink,
        }

    async def handle(
        self, method: str, params: dict[str, Any], progress: Progress
    ) -> dict[str, Any]:
        """Carry out a request; return its result, which JSON can hold.

        ``progress`` gets the events of the cluster meanwhile. Raises ``ClusterError`` if the
        request cannot be carried out, ``ConfigError`` if it is a mistake.
        """
        if method == "ping":
            return {}  # shows a client that waits long for another answer that we are alive
        act = self._methods.get(method)
        if act is None:
            raise ConfigError(
                f"there is no request {method!r}", hint=f"there are {', '.join(self._methods)}"
            )

        def report(event: str, values: dict[str, Any]) -> None:
            progress({"event": event, "phase": self._reach.phase.value, **values})

        listeners = self._reach.view.listeners
        listeners.append(report)
        try:
            return await act(Parameters(method, params))
        finally:
            listeners.remove(report)

    def stepped(self, event: Event | None, effects: Sequence[Effect]) -> None:
        """Let requests that wait for a change look at the run again."""
        if may_matter(event, effects):
            self._reach.wake()

    def replied(self, _worker: WorkerName, frame: Replied) -> None:
        """Handle a worker's answer to a query."""
        self._worker_queries.replied(frame)

    async def end(self, error: WallarooError | None) -> None:
        """Carry out what was requested for the end of the run, and answer: every process ended."""
        if error is None:
            error = await self._commands.discard()
        self._reach.end(error)
