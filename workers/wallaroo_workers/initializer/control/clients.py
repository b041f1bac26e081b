"""The initializer's end of the connections of clients: requests in, progress and answers out."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from wallaroo.describing import error_text
from wallaroo.errors import ClusterError, ConfigError, ProtocolError, WallarooError
from wallaroo.wire.control import ControlFrame, encode_control_frame
from wallaroo.wire.requests import (
    DONE,
    MISTAKE,
    NO_EPOCH,
    PARAMS_LENGTH_MAX,
    REFUSED,
    RESULT_LENGTH_MAX,
    Answer,
    Progress,
    Request,
    from_json,
    to_json,
)
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import FrameConnection

log = get_logger()

REQUESTS_AT_ONCE_MAX = 16
"""Requests of one client that may be under way."""
LAST_ANSWERS_S = 2.0


class RequestHandler(Protocol):
    """Carries out the requests of clients."""

    async def handle(
        self, method: str, params: dict[str, Any], progress: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Carry out a request; return its result. ``progress`` gets events meanwhile.

        Raises ``ClusterError`` if the request cannot be carried out, ``ConfigError`` if it is a
        mistake.
        """
        ...


class Clients:
    """The clients of one run."""

    def __init__(self, requests: RequestHandler) -> None:
        self._requests = requests
        self._tasks: dict[FrameConnection, dict[int, asyncio.Task[None]]] = {}

    def take(self, connection: FrameConnection, frame: ControlFrame) -> bool:
        """Handle a frame if its connection is a client's; return whether it is.

        A peer whose first frame is a ``Request`` is a client from then on. Raises ``ProtocolError``
        for a frame that a client must not send.
        """
        if connection in self._tasks or isinstance(frame, Request):
            self._received(connection, frame)
            return True
        return False

    def _received(self, connection: FrameConnection, frame: ControlFrame) -> None:
        if not isinstance(frame, Request):
            raise ProtocolError(f"a client sends requests, not {type(frame).__name__}")
        if len(frame.params) > PARAMS_LENGTH_MAX:
            raise ProtocolError(f"a request with {len(frame.params)} characters is too long")
        tasks = self._tasks.setdefault(connection, {})
        params = from_json(frame.params)
        if frame.request in tasks or len(tasks) >= REQUESTS_AT_ONCE_MAX:
            raise ProtocolError(f"a client has {len(tasks)} requests under way, and sends another")
        tasks[frame.request] = asyncio.create_task(self._handle(connection, frame, params))

    def disconnected(self, connection: FrameConnection, reason: str) -> bool:
        """Cancel the requests of a connection that has ended; return whether it was a client's."""
        tasks = self._tasks.pop(connection, None)
        if tasks is None:
            return False
        if connection.refusal is not None:
            log.warning("client.rejected", peer=connection.peer, reason=reason)
        for task in tasks.values():
            task.cancel()
        return True

    async def finish(self) -> None:
        """Wait shortly for the last answers: the run is over.

        Connections stay open until this process ends, so a client sees from that when it has ended.
        """
        for connection in self._tasks:
            connection.outlast_loop()
        tasks = [task for some in self._tasks.values() for task in some.values()]
        if not tasks:
            return
        _, unanswered = await asyncio.wait(tasks, timeout=LAST_ANSWERS_S)
        for task in unanswered:
            task.cancel()

    async def _handle(
        self, connection: FrameConnection, request: Request, params: dict[str, Any]
    ) -> None:
        number = request.request
        try:
            result = await self._result(connection, request, params)
            if len(result) > RESULT_LENGTH_MAX:
                raise ClusterError(f"the answer is too long: {len(result):,} characters")
            answer = Answer(NO_EPOCH, number, DONE, result, "", "")
        except WallarooError as error:
            kind = MISTAKE if isinstance(error, ConfigError) else REFUSED
            answer = Answer(NO_EPOCH, number, kind, "", error.what, error.hint)
        except Exception as error:
            log.exception("request.failed", method=request.method)
            what = f"the request failed, which is a bug: {error_text(error)}"
            hint = "the initializer's log has it as request.failed"
            answer = Answer(NO_EPOCH, number, REFUSED, "", what, hint)
        # Before the answer is sent: after it, the client may send its next request.
        self._tasks.get(connection, {}).pop(number, None)
        connection.write(encode_control_frame(answer))

    async def _result(
        self, connection: FrameConnection, request: Request, params: dict[str, Any]
    ) -> str:
        progress = partial(_send_progress, connection, request.request)
        return to_json(await self._requests.handle(request.method, params, progress))


def _send_progress(connection: FrameConnection, number: int, facts: dict[str, Any]) -> None:
    connection.write(encode_control_frame(Progress(NO_EPOCH, number, to_json(facts))))
