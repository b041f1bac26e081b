"""Requests to an initializer that is there, goes away and comes back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from wallaroo.errors import ClusterError, ConfigError
from wallaroo.wire.control import (
    FRAME_BYTES_MAX,
    decode_control_frame,
    encode_control_frame,
)
from wallaroo.wire.handshake import Purpose, Side
from wallaroo.wire.requests import DONE, MISTAKE, NO_EPOCH, REFUSED, Answer, Request, to_json
from wallaroo_workers.external.remote import RemoteRequests
from wallaroo_workers.initializer.control.clients import REQUESTS_AT_ONCE_MAX
from wallaroo_workers.network.frames import FrameConnection

SECRET = b"a secret"
WAIT_S = 10.0


class Initializer:
    """Answers by the name of the method; ``wait`` is never answered."""

    def __init__(self) -> None:
        self.connections: list[FrameConnection] = []
        self.asked: asyncio.Queue[Request] = asyncio.Queue()
        self._server: asyncio.Server | None = None
        self.port = 0

    async def listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _accept(self) -> FrameConnection:
        connection = FrameConnection(Side.LISTENER, Purpose.CONTROL, SECRET, FRAME_BYTES_MAX, self)
        self.connections.append(connection)
        return connection

    def opened(self, connection: FrameConnection) -> None: ...

    def lost(self, connection: FrameConnection, reason: str) -> None: ...

    def received(self, connection: FrameConnection, data: bytes) -> None:
        frame = decode_control_frame(data)
        assert isinstance(frame, Request)
        self.asked.put_nowait(frame)
        if frame.method != "wait":
            self.answer(frame)

    def answer(self, frame: Request) -> None:
        """Answer a request over the last connection."""
        kind = {"mistake": MISTAKE, "refused": REFUSED}.get(frame.method, DONE)
        result = to_json({"method": frame.method})
        answer = Answer(NO_EPOCH, frame.request, kind, result, f"{kind} it is", "so")
        self.connections[-1].write(encode_control_frame(answer))

    def go_away(self) -> None:
        assert self._server is not None
        self._server.close()
        for connection in self.connections:
            connection.abort("over")


@contextlib.asynccontextmanager
async def both() -> AsyncIterator[tuple[Initializer, RemoteRequests]]:
    initializer = Initializer()
    await initializer.listen()
    remote = RemoteRequests(SECRET, lambda: ("127.0.0.1", initializer.port))
    try:
        async with asyncio.timeout(WAIT_S):
            yield initializer, remote
    finally:
        await remote.close()
        initializer.go_away()


async def test_answers_come_back_over_one_connection() -> None:
    async with both() as (initializer, remote):
        answers = await asyncio.gather(*(remote.ask(f"m{number}", {}) for number in range(3)))
        assert answers == [{"method": f"m{number}"} for number in range(3)]
        assert len(initializer.connections) == 1


@pytest.mark.parametrize(("method", "kind"), [("mistake", ConfigError), ("refused", ClusterError)])
async def test_what_is_not_done_is_an_error(method: str, kind: type[Any]) -> None:
    async with both() as (_, remote):
        with pytest.raises(kind, match=f"{method} it is"):
            await remote.ask(method, {})


async def test_who_waits_hears_that_the_initializer_is_gone_and_the_next_dials_anew() -> None:
    async with both() as (initializer, remote):
        waiting = asyncio.create_task(remote.ask("wait", {}))
        await initializer.asked.get()
        initializer.go_away()
        with pytest.raises(ClusterError, match="the initializer was lost"):
            await waiting
        with pytest.raises(ClusterError, match="the initializer is not reached"):
            await remote.ask("status", {})
        await initializer.listen()
        assert await remote.ask("status", {}) == {"method": "status"}


async def test_no_more_are_under_way_than_an_initializer_takes_of_a_client() -> None:
    async with both() as (initializer, remote):
        asking = [
            asyncio.create_task(remote.ask("wait", {})) for _ in range(REQUESTS_AT_ONCE_MAX + 2)
        ]
        asked = [await initializer.asked.get() for _ in range(REQUESTS_AT_ONCE_MAX)]
        for _ in range(100):
            await asyncio.sleep(0)
        assert initializer.asked.empty()
        # The client has left, and the initializer still works on its request.
        asking[0].cancel()
        initializer.answer(asked[1])
        asked.append(await initializer.asked.get())
        assert initializer.asked.empty()
        initializer.answer(asked[0])
        asked.append(await initializer.asked.get())
        for frame in asked[2:]:
            initializer.answer(frame)
        answers = await asyncio.gather(*asking, return_exceptions=True)
        assert isinstance(answers[0], asyncio.CancelledError)
        assert answers[1:] == [{"method": "wait"}] * (REQUESTS_AT_ONCE_MAX + 1)


async def test_nobody_is_asked_without_the_secret() -> None:
    async with both() as (initializer, _):
        other = RemoteRequests(b"another", lambda: ("127.0.0.1", initializer.port))
        with pytest.raises(ClusterError, match="the initializer is not reached"):
            await other.ask("status", {})
        assert initializer.asked.empty()
