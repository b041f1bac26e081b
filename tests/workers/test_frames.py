"""Connections between processes: only those who prove the secret exchange frames, and all end."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from wallaroo.errors import ProtocolError, StoreError
from wallaroo.wire.handshake import Purpose, Side
from wallaroo_workers.network import frames
from wallaroo_workers.network.frames import FrameConnection

SECRET = b"a secret"
FRAME_BYTES_MAX = 1000
WAIT_S = 10.0


def framed(*bodies: bytes) -> bytes:
    return b"".join(len(body).to_bytes(4, "big") + body for body in bodies)


class End:
    """One end of a connection and what its owner receives."""

    def __init__(self, side: Side, secret: bytes = SECRET) -> None:
        self.connection = FrameConnection(side, Purpose.DATA, secret, FRAME_BYTES_MAX, self)
        self.first_bytes = b""
        """What this end writes as soon as it is open."""
        self.handle: Callable[[bytes], None] = self.keep
        self.is_open = asyncio.Event()
        self.frames: asyncio.Queue[bytes] = asyncio.Queue()
        self.reasons: list[str] = []
        self.has_ended = asyncio.Event()

    def keep(self, frame: bytes) -> None:
        self.frames.put_nowait(frame)

    def opened(self, connection: FrameConnection) -> None:
        connection.write(self.first_bytes)
        self.is_open.set()

    def received(self, connection: FrameConnection, frame: bytes) -> None:
        self.handle(frame)

    def lost(self, connection: FrameConnection, reason: str) -> None:
        self.reasons.append(reason)
        self.has_ended.set()

    async def wait_opened(self) -> None:
        await asyncio.wait_for(self.is_open.wait(), WAIT_S)

    async def next_frame(self) -> bytes:
        return await asyncio.wait_for(self.frames.get(), WAIT_S)

    async def reason(self) -> str:
        """Wait for the end; return the reason, of which there is only one."""
        await asyncio.wait_for(self.has_ended.wait(), WAIT_S)
        # Whatever the loop still has to do for this connection has its turn.
        for _ in range(3):
            await asyncio.sleep(0)
        (reason,) = self.reasons
        return reason


@contextlib.asynccontextmanager
async def connected(dialer: End, listener: End) -> AsyncIterator[None]:
    """Connect both ends over loopback; close them afterwards."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: listener.connection, "127.0.0.1", 0)
    try:
        where = server.sockets[0].getsockname()
        await loop.create_connection(lambda: dialer.connection, *where)
        yield
    finally:
        server.close()
        for end in (dialer, listener):
            end.connection.abort("the test is over")
            await asyncio.wait_for(end.has_ended.wait(), WAIT_S)


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a connection over loopback; the first is the listening side's."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        far = socket.create_connection(server.getsockname(), WAIT_S)
        near, _ = server.accept()
    return near, far


@pytest.fixture
def dialer() -> End:
    return End(Side.DIALER)


@pytest.fixture
def listener() -> End:
    return End(Side.LISTENER)


@contextlib.contextmanager
def heard_by_the_loop() -> Iterator[list[dict[str, Any]]]:
    """What the loop's exception handler gets meanwhile."""
    loop = asyncio.get_running_loop()
    heard: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: heard.append(context))
    yield heard
    loop.set_exception_handler(None)


async def test_with_the_right_secret_both_ends_open_and_frames_go_both_ways(
    dialer: End, listener: End
) -> None:
    async with connected(dialer, listener):
        await dialer.wait_opened()
        await listener.wait_opened()
        dialer.connection.write(framed(b"to the listener", b"", b"x" * FRAME_BYTES_MAX))
        listener.connection.write(framed(b"to the dialer"))
        assert await dialer.next_frame() == b"to the dialer"
        came = [await listener.next_frame() for _ in range(3)]
        assert came == [b"to the listener", b"", b"x" * FRAME_BYTES_MAX]
        dialer.connection.close()
        assert await listener.reason() == "the peer closed the connection"
        assert await dialer.reason()


async def test_frames_that_come_right_behind_the_proof_are_not_lost(
    dialer: End, listener: End
) -> None:
    dialer.first_bytes = framed(b"first", b"second")
    async with connected(dialer, listener):
        assert [await listener.next_frame() for _ in range(2)] == [b"first", b"second"]


async def test_with_another_secret_neither_end_opens_and_both_are_told_why(listener: End) -> None:
    dialer = End(Side.DIALER, b"another secret")
    async with connected(dialer, listener):
        assert await dialer.reason() == "the peer does not know this cluster's secret"
        assert await listener.reason()
    assert not dialer.is_open.is_set()
    assert not listener.is_open.is_set()


async def test_a_dialer_that_does_not_know_the_secret_gets_no_frame_through(listener: End) -> None:
    dialer = End(Side.DIALER, b"another secret")
    # One that does not ask for the other's proof.
    dialer.connection._handshake._check = lambda *_: None  # type: ignore[method-assign]
    dialer.first_bytes = framed(b"poison")
    async with connected(dialer, listener):
        assert await listener.reason() == "the peer does not know this cluster's secret"
        assert await dialer.reason()
    assert listener.frames.empty()
    assert not listener.is_open.is_set()


async def test_a_peer_that_proves_nothing_in_time_is_given_up(
    listener: End, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "HANDSHAKE_TIMEOUT_S", 0.01)
    loop = asyncio.get_running_loop()
    near, far = tcp_pair()
    with far:
        await loop.connect_accepted_socket(lambda: listener.connection, near)
        assert await listener.reason() == "the peer did not prove the secret in time"


async def test_a_peer_that_is_gone_before_anybody_asked_its_name_breaks_nothing(
    listener: End,
) -> None:
    near, far = tcp_pair()
    far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    far.close()
    loop = asyncio.get_running_loop()
    with heard_by_the_loop() as heard:
        transport, _ = await loop.connect_accepted_socket(lambda: listener.connection, near)
        assert transport.get_extra_info("peername") is None
        assert await listener.reason()
    assert heard == []
    assert listener.connection.peer == "an unknown peer"


# The event loops hide some of these, taking them for the socket's own; and no disk of ours is the
# peer's fault.
@pytest.mark.parametrize(
    "error",
    [KeyError("bug"), ConnectionResetError("bug"), AssertionError(), StoreError("no room")],
)
async def test_an_error_that_nobody_expected_reaches_the_loop_and_ends_the_connection(
    dialer: End, listener: End, error: Exception
) -> None:
    taken: list[bytes] = []

    def fail(frame: bytes) -> None:
        taken.append(frame)
        raise error

    listener.handle = fail
    async with connected(dialer, listener):
        await dialer.wait_opened()
        with heard_by_the_loop() as heard:
            dialer.connection.write(framed(b"first", b"second"))
            assert await listener.reason() == "a frame could not be handled"
            assert await dialer.reason()
    assert [context["exception"] for context in heard] == [error]
    assert taken == [b"first"]


async def test_a_refused_frame_ends_the_connection_with_the_reason_and_is_not_a_bug(
    dialer: End, listener: End
) -> None:
    def refuse(_frame: bytes) -> None:
        raise ProtocolError("this is not for us")

    listener.handle = refuse
    async with connected(dialer, listener):
        await dialer.wait_opened()
        with heard_by_the_loop() as heard:
            dialer.connection.write(framed(b"first"))
            assert await listener.reason() == "this is not for us"
            assert await dialer.reason()
    assert heard == []


async def test_a_frame_beyond_the_limit_ends_the_connection_behind_the_frames_before_it(
    dialer: End, listener: End
) -> None:
    async with connected(dialer, listener):
        await dialer.wait_opened()
        dialer.connection.write(framed(b"short", b"x" * (FRAME_BYTES_MAX + 1), b"behind"))
        reason = await listener.reason()
        assert await dialer.reason()
    assert f"{FRAME_BYTES_MAX + 1} bytes, more than the {FRAME_BYTES_MAX} allowed" in reason
    assert await listener.next_frame() == b"short"
    assert listener.frames.empty()


def abort_twice(end: End) -> None:
    end.connection.abort("first reason")
    end.connection.abort("second reason")


def close_and_abort(end: End) -> None:
    end.connection.close()
    end.connection.abort("first reason")


@pytest.mark.parametrize(
    "end_twice", [abort_twice, close_and_abort], ids=lambda each: each.__name__
)
async def test_the_owner_is_told_of_the_end_once_with_the_first_reason(
    dialer: End, listener: End, end_twice: Callable[[End], None]
) -> None:
    async with connected(dialer, listener):
        await dialer.wait_opened()
        end_twice(dialer)
        assert await dialer.reason() == "first reason"
        # Calls on a closed connection have no effect.
        dialer.connection.write(framed(b"late"))
        dialer.connection.close()
        dialer.connection.abort("third reason")
        assert await listener.reason()
    assert dialer.reasons == ["first reason"]
    assert len(listener.reasons) == 1
