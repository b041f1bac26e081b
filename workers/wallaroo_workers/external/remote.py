"""Requests from a process that is not the initializer, over a connection that stays."""

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

from wallaroo.errors import ClusterError, ConfigError
from wallaroo.wire.control import ControlFrame
from wallaroo.wire.requests import DONE, MISTAKE, NO_EPOCH, Answer, Request, from_json, to_json
from wallaroo_workers.control_link import ControlLink
from wallaroo_workers.initializer.control.clients import REQUESTS_AT_ONCE_MAX


class RemoteRequests:
    """Asks the initializer at ``address``, which may go away and come back."""

    def __init__(self, secret: bytes, address: Callable[[], tuple[str, int]]) -> None:
        self._secret = secret
        self._address = address
        self._link: ControlLink | None = None
        self._dialing = asyncio.Lock()
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Answer]] = {}
        """Requests without an answer yet; the caller may have given up by then."""
        # The initializer disconnects a client that sends more requests at a time.
        self._slots = asyncio.Semaphore(REQUESTS_AT_ONCE_MAX)

    async def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Return what came of a request.

        Raises ``ClusterError`` where it was refused or nobody is there, ``ConfigError`` for a
        mistake.
        """
        await self._slots.acquire()
        try:
            link = await self._connected()
            number = next(self._numbers)
            link.send(Request(NO_EPOCH, number, method, to_json(params)))
        except BaseException:
            self._slots.release()
            raise
        waiting = self._waiting[number] = asyncio.get_running_loop().create_future()
        answer = await waiting
        if answer.kind == DONE:
            return from_json(answer.result)
        kind = ConfigError if answer.kind == MISTAKE else ClusterError
        raise kind(answer.what, answer.hint)

    async def close(self) -> None:
        """Close the link."""
        if self._link is not None:
            await self._link.close()

    async def _connected(self) -> ControlLink:
        async with self._dialing:
            if self._link is not None:
                return self._link
            link = ControlLink(self._secret)
            try:
                await link.dial(*self._address(), self._came, self._lost)
            except (OSError, TimeoutError) as error:
                raise ClusterError(f"the initializer is not reached: {error}") from error
            self._link = link
            return link

    def _came(self, frame: ControlFrame) -> None:
        if isinstance(frame, Answer):
            waiting = self._waiting.pop(frame.request, None)
            if waiting is not None:
                self._slots.release()
                if not waiting.done():
                    waiting.set_result(frame)

    def _lost(self, reason: str) -> None:
        self._link = None
        lost, self._waiting = self._waiting, {}
        for waiting in lost.values():
            self._slots.release()
            if not waiting.done():
                waiting.set_exception(ClusterError(f"the initializer was lost: {reason}"))
