"""The initializer's end of the connections of clients: requests in, progress and answers out."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

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
from wallaroo_workers.initializer.control.requests import Requests
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import FrameConnection

log = get_logger()

REQUESTS_AT_ONCE_MAX = 16
"""Of one client."""
LAST_ANSWERS_S = 2.0


class Clients:
    """All clients of one run. ``requests`` is set as soon as there is a cluster to ask about."""

    def __init__(self) -> None:
        self.requests: Requests | None = None
        self.why_not_yet: Callable[[], ClusterError] = lambda: ClusterError("it is being formed")
        """What clients are told before there are ``requests``."""
        self.stop_early: Callable[[], None] | None = None
        """Ends a cluster that still waits for its workers."""
        self._tasks: dict[FrameConnection, dict[int, asyncio.Task[None]]] = {}

    def take(self, connection: FrameConnection, frame: ControlFrame) -> bool:
        """Take a frame, if it is a client's; say whether it is.

        Who sends a ``Request`` first is a client, and stays one. Raises ``ProtocolError`` for what
        no client may send.
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

    def gone(self, connection: FrameConnection, reason: str) -> bool:
        """A connection is gone; if it was a client's, nobody waits for its answers."""
        tasks = self._tasks.pop(connection, None)
        if tasks is None:
            return False
        if connection.refusal is not None:
            log.warning("client.rejected", peer=connection.peer, reason=reason)
        for task in tasks.values():
            task.cancel()
        return True

    async def finish(self) -> None:
        """The run is over: answer what can be answered.

        Connections stay until this process ends, so that a client sees by that when it has.
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
        # Before the client has the answer, and may send another one.
        self._tasks.get(connection, {}).pop(number, None)
        connection.write(encode_control_frame(answer))

    async def _result(
        self, connection: FrameConnection, request: Request, params: dict[str, Any]
    ) -> str:
        if self.requests is None:
            if request.method == "stop" and self.stop_early is not None:
                self.stop_early()
                return to_json({"stopped": True, "took_s": 0.0})
            raise self.why_not_yet()
        progress = partial(_tell, connection, request.request)
        return to_json(await self.requests.handle(request.method, params, progress))


def _tell(connection: FrameConnection, number: int, facts: dict[str, Any]) -> None:
    connection.write(encode_control_frame(Progress(NO_EPOCH, number, to_json(facts))))
