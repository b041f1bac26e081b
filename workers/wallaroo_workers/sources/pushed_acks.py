"""Acknowledges deliveries of a pushed source, beside its receiving."""

import asyncio
from collections.abc import Callable
from typing import Any

from wallaroo.connectors.source_classes import SourceError
from wallaroo_workers.sources.connector_calls import ConnectorCalls, WaitingLog
from wallaroo_workers.sources.reading import Backoff


class Acks:
    """The tags that are to be acknowledged, in their order.

    An ``ack`` that raises is called again with the same tags. Records never wait for that.
    """

    def __init__(
        self,
        calls: ConnectorCalls,
        waits: WaitingLog,
        on_fatal: Callable[[SourceError], None],
    ) -> None:
        self._calls = calls
        self._waits = waits
        self._on_fatal = on_fatal
        self._tags: list[Any] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def wait(self) -> bool:
        """Whether any tag is not acknowledged yet."""
        return bool(self._tags)

    def add(self, tags: list[Any]) -> None:
        """Acknowledge these, behind the earlier ones."""
        self._tags += tags
        if self._tags and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(self._run())

    def drop(self) -> None:
        """Forget the tags of a connection that has ended: what they stand for comes again."""
        self._tags = []
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def done(self, within_s: float) -> None:
        """Wait until everything is acknowledged, for a limited time."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=within_s)

    async def _run(self) -> None:
        backoff = Backoff()
        while self._tags:
            tags = [*self._tags]
            try:
                await self._calls.call("ack", tags)
            except asyncio.CancelledError:
                raise
            except SourceError as error:
                self._on_fatal(error)
                return
            except BaseException as error:  # noqa: BLE001  the author's code may raise anything
                delay_s = backoff.next_s()
                following = "it is called again; records go on meanwhile"
                self._waits.add(self._calls.failure("ack", error, delay_s), following)
                await asyncio.sleep(delay_s)
            else:
                del self._tags[: len(tags)]
                backoff.reset()
