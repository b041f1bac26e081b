"""Calls the methods of a connector's author: coroutines on the event loop, others in its thread."""

import asyncio
import inspect
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from wallaroo.connectors.source_classes import SourceError
from wallaroo.errors import WallarooError
from wallaroo.ingest.split_batches import Method
from wallaroo_workers.logs import get_logger
from wallaroo_workers.loop_watch import watched_source
from wallaroo_workers.slow_calls import SlowCall
from wallaroo_workers.sources.author_methods import SourceOfAuthor, has_own
from wallaroo_workers.sources.connector_thread import ConnectorThread
from wallaroo_workers.sources.reading import Backoff, Waiting, run_error, waiting

log = get_logger()

WAITING_LOGGED_EVERY_S = 10.0


class WaitingLog:
    """Logs for each method of a source at most every 10 s that it is waited for."""

    def __init__(self, pipeline: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._pipeline = pipeline
        self._clock = clock
        self._next_s: dict[str, float] = {}

    def add(self, message: Waiting, following: str = "it is tried again", stack: str = "") -> None:
        """Log this, unless the same method was logged a short time ago."""
        now_s = self._clock()
        if now_s < self._next_s.get(message.method, now_s):
            return
        self._next_s[message.method] = now_s + WAITING_LOGGED_EVERY_S
        log.warning(
            "source.waiting",
            pipeline=self._pipeline,
            method=message.method,
            error=message.error,
            at=message.at,
            **({"stack": stack} if stack else {}),
            next=following,
        )


class ConnectorCalls:
    """The methods of one source; blocking ones run in ``thread``."""

    def __init__(
        self,
        source: SourceOfAuthor,
        pipeline: str,
        waits: WaitingLog,
        thread: ConnectorThread | None,
    ) -> None:
        self._source = source
        self._pipeline = pipeline
        self._waits = waits
        self._pump_thread = thread
        self.watched = watched_source(pipeline)
        self._own_thread: ConnectorThread | None = None
        self._busy_since_s: float | None = None

    async def call(self, name: str, *arguments: Any) -> Any:
        """Return what the author's method returns, or raise what it raises.

        While it does not return, a line says so every 10 s.
        """
        method = getattr(self._source, name)
        slow = SlowCall(partial(self._report_slow, name), self.stack)
        try:
            if not has_own(self._source, name) or inspect.iscoroutinefunction(method):
                return await slow.settled(method(*arguments))
            return await slow.settled(await self.in_thread(lambda: method(*arguments)))
        finally:
            slow.end()

    def _report_slow(self, name: str, reason: str, stack: str) -> None:
        message = Waiting(str(Method(self._source, name)), reason, "", 0.0)
        self._waits.add(message, "it is waited for", stack)

    async def in_thread(self, function: Callable[[], Any]) -> Any:
        """Return what ``function`` returns in the connector's thread."""
        return await self._thread().call(lambda: self._noted(function))

    def _noted(self, function: Callable[[], Any]) -> Any:
        self._busy_since_s = time.monotonic()
        try:
            return function()
        finally:
            self._busy_since_s = None

    @property
    def busy_since_s(self) -> float | None:
        """When the present call in the thread began, by the monotonic clock."""
        return self._busy_since_s

    def stack(self) -> str:
        """Return where the thread is."""
        thread = self._pump_thread or self._own_thread
        return "" if thread is None else thread.stack()

    def _thread(self) -> ConnectorThread:
        if self._pump_thread is not None:
            return self._pump_thread
        if self._own_thread is None:
            self._own_thread = ConnectorThread(
                f"source {self._pipeline}", asyncio.get_running_loop()
            )
            self._own_thread.start()
        return self._own_thread

    async def until_answered(self, name: str, call: Callable[[], Any]) -> Any:
        """Return what ``call`` returns; try again if it raises.

        Raises ``WallarooError`` if the author says that this cannot help, and ``SourceError`` if
        that is so for one partition only.
        """
        backoff = Backoff()
        while True:
            try:
                return await call()
            except SourceError as error:
                if error.partition is not None:
                    raise
                raise run_error(self._pipeline, error) from error
            except (WallarooError, asyncio.CancelledError):
                raise
            except BaseException as error:  # noqa: BLE001  the author's code may raise anything
                delay_s = backoff.next_s()
                self._waits.add(self.failure(name, error, delay_s))
                await asyncio.sleep(delay_s)

    def failure(self, name: str, error: BaseException, delay_s: float = 0.0) -> Waiting:
        """Return what a log says of a method that raised."""
        method = getattr(self._source, name)
        return waiting(str(Method(self._source, name)), method, error, delay_s)

    async def close(self) -> None:
        """End the thread, if there is one for these calls alone."""
        thread, self._own_thread = self._own_thread, None
        if thread is not None:
            await thread.close()
