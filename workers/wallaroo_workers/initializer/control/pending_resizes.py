"""Requests for resizes whose callers wait for the result."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from wallaroo.coordinator.resize_requests import ResizeOutcome
from wallaroo.errors import ClusterError
from wallaroo.names import WorkerName


class Resizer(Protocol):
    """Accepts requests for resizes; ``RunDriver`` implements it."""

    def resize(
        self,
        added: Sequence[WorkerName],
        leaving: Sequence[WorkerName],
        answered: Callable[[ResizeOutcome], None],
        *,
        in_turn: bool = False,
    ) -> None:
        """Request a resize; call ``answered`` once."""
        ...


class PendingResizes:
    """The unanswered requests for resizes of one run."""

    def __init__(
        self, resizer: Resizer, release_host: Callable[[WorkerName], Awaitable[None]]
    ) -> None:
        """``release_host`` is called with each worker that has left."""
        self._resizer = resizer
        self._release_host = release_host
        self._works: set[asyncio.Task[dict[str, Any]]] = set()

    async def make(self, added: Sequence[str], leaving: Sequence[str]) -> dict[str, Any]:
        """Let some workers join and others leave; return the facts.

        If the caller stops waiting, the request is still carried out. Raises ``ClusterError`` with
        the reason if the resize is not possible.
        """
        return await self._done(self._make(added, leaving, in_turn=False))

    async def make_in_turn(self, added: Sequence[str], leaving: Sequence[str]) -> dict[str, Any]:
        """As ``make``, once the cluster runs and no other request is under way."""
        return await self._done(self._make(added, leaving, in_turn=True))

    async def _done(self, making: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
        work = asyncio.create_task(making)
        self._works.add(work)
        work.add_done_callback(self._worked)
        await asyncio.wait([work])
        return work.result()

    async def _make(
        self, added: Sequence[str], leaving: Sequence[str], *, in_turn: bool
    ) -> dict[str, Any]:
        answered: asyncio.Future[ResizeOutcome] = asyncio.get_running_loop().create_future()
        joining, left = (tuple(map(WorkerName, names)) for names in (added, leaving))
        self._resizer.resize(joining, left, answered.set_result, in_turn=in_turn)
        outcome = await answered
        if not outcome.answer.ok:
            raise ClusterError(outcome.answer.text)
        for worker in left:
            await self._release_host(worker)
        return {**outcome.answer.facts, "took_s": time.monotonic() - outcome.started_s}

    def _worked(self, work: asyncio.Task[dict[str, Any]]) -> None:
        self._works.discard(work)
        if not work.cancelled():
            work.exception()  # read, so that asyncio does not report it: nobody may be waiting
