"""Sends queries to workers, and waits a limited time for their answers."""

import asyncio
import itertools
from collections.abc import Iterable
from typing import Any

from wallaroo.errors import ClusterError
from wallaroo.names import WorkerName
from wallaroo.wire.requests import Query, Replied, from_json, to_json
from wallaroo_workers.initializer.control.run_context import Reach

WAIT_S = 5.0


class WorkerQueries:
    """The unanswered queries of one initializer to its workers."""

    def __init__(self, reach: Reach) -> None:
        self._reach = reach
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Replied]] = {}

    def replied(self, frame: Replied) -> None:
        """Handle a worker's answer; ignore it if its query has timed out."""
        answer = self._waiting.get(frame.request)
        if answer is not None and not answer.done():
            answer.set_result(frame)

    def notify(self, worker: WorkerName, what: str, params: dict[str, Any]) -> None:
        """Send a query whose answer is not needed."""
        self._send(worker, next(self._numbers), what, params)

    def _send(self, worker: WorkerName, number: int, what: str, params: dict[str, Any]) -> None:
        self._reach.send(worker, Query(self._reach.epoch, number, what, to_json(params)))

    async def ask(
        self, worker: WorkerName, what: str, params: dict[str, Any], wait_s: float = WAIT_S
    ) -> dict[str, Any]:
        """Return the worker's answer. Raises ``ClusterError`` if there is none in time."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            self._send(worker, number, what, params)
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
