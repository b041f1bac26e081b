"""All that can be asked of a running cluster, by name; whoever asks comes through here."""

from collections.abc import Awaitable, Callable
from typing import Any

from wallaroo.errors import ConfigError, WallarooError
from wallaroo.names import WorkerName
from wallaroo.wire.requests import Replied
from wallaroo_workers.initializer.control.commands import Changing, Progress
from wallaroo_workers.initializer.control.parameters import Parameters
from wallaroo_workers.initializer.control.queries import Reading
from wallaroo_workers.initializer.control.run_context import Reach
from wallaroo_workers.initializer.control.worker_queries import Asking


class Requests:
    """The requests of one run."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._asking = Asking(reach.epoch, reach.send)
        reading, self._changing = Reading(reach, self._asking), Changing(reach)
        self._methods: dict[str, Callable[[Parameters], Awaitable[dict[str, Any]]]] = {
            "status": reading.status,
            "partitions": reading.partitions,
            "keys": reading.keys,
            "get": reading.get,
            "logs": reading.logs,
            "events": reading.events,
            "sources": reading.sources,
            "checkpoint": self._changing.checkpoint,
            "stop": self._changing.stop,
            "drain": self._changing.drain,
            "grow": self._changing.grow,
            "shrink": self._changing.shrink,
        }

    async def handle(
        self, method: str, params: dict[str, Any], progress: Progress
    ) -> dict[str, Any]:
        """Do what is asked; return what came of it, as JSON can hold it.

        ``progress`` is told what happens to the cluster meanwhile. Raises ``ClusterError`` where it
        cannot be done, ``ConfigError`` where the request is a mistake.
        """
        if method == "ping":
            return {}  # to a client that waits long for another answer: its initializer lives
        act = self._methods.get(method)
        if act is None:
            raise ConfigError(
                f"there is no request {method!r}", hint=f"there are {', '.join(self._methods)}"
            )

        def told(what: str, values: dict[str, Any]) -> None:
            progress({"event": what, "phase": self._reach.phase().value, **values})

        listeners = self._reach.watch.listeners
        listeners.append(told)
        try:
            return await act(Parameters(method, params))
        finally:
            listeners.remove(told)

    def replied(self, _worker: WorkerName, frame: Replied) -> None:
        """A worker has answered a question."""
        self._asking.replied(frame)

    async def end(self, error: WallarooError | None) -> None:
        """Nothing of the run is left: do what was asked for afterwards, and answer."""
        self._reach.error = error
        if error is None:
            await self._changing.discard()
        self._reach.ended.set()
        self._reach.wake()
