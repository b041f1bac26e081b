"""Sends queries to workers, and waits a limited time for their answers."""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import Any

from wallaroo.errors import ClusterError
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.control import ControlFrame
from wallaroo.wire.requests import Query, Replied, from_json, to_json

WAIT_S = 5.0


class WorkerQueries:
    """The unanswered queries of one initializer to its workers."""

    def __init__(
        self, epoch: Callable[[], Epoch], send: Callable[[WorkerName, ControlFrame], None]
    ) -> None:
        self._epoch = epoch
        self._send = send
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Replied]] = {}

    def replied(self, frame: Replied) -> None:
        """Handle a worker's answer; ignore it if its query has timed out."""
        answer = self._waiting.get(frame.request)
        if answer is not None and not answer.done():
            answer.set_result(frame)

    def notify(self, worker: WorkerName, what: str, params: dict[str, Any]) -> None:
        """Send a query whose answer is not needed."""
        self._send(worker, Query(self._epoch(), next(self._numbers), what, to_json(params)))

    async def ask(
        self, worker: WorkerName, what: str, params: dict[str, Any], wait_s: float = WAIT_S
    ) -> dict[str, Any]:
        """Return the worker's answer. Raises ``ClusterError`` if there is none in time."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(worker, Query(self._epoch(), number, what, to_json(params)))
            async with asyncio.timeout(wait_s):
                reply = await answer
        except TimeoutError as error:
            raise ClusterError(
                f"worker {worker} did not answer in {wait_s:g} s",
                hint="it is being started, hangs, or is busy in a function of the application; "
                "wallaroo-cluster status shows its state",
            ) from error
        finally:
            del self._waiting[number]
        if reply.error:
            raise ClusterError(f"worker {worker}: {reply.error}")
        return from_json(reply.result)

    async def ask_all(
        self,
        workers: Iterable[WorkerName],
        what: str,
        params: dict[str, Any],
        wait_s: float = WAIT_S,
    ) -> dict[WorkerName, dict[str, Any] | ClusterError]:
        """Ask all workers at the same time; return each one's answer or error."""

        async def one(worker: WorkerName) -> dict[str, Any] | ClusterError:
            try:
                return await self.ask(worker, what, params, wait_s)
            except ClusterError as error:
                return error

        names = list(workers)
        return dict(zip(names, await asyncio.gather(*map(one, names)), strict=True))
