"""A connection between two processes of a cluster: first the secret's proof, then frames."""

import asyncio
import os
from collections.abc import Callable
from typing import cast

from wallaroo.codec.framing import LengthFramer
from wallaroo.errors import ProtocolError, WallarooError
from wallaroo.wire.handshake import NONCE_BYTES, Handshake, Purpose, Side

HANDSHAKE_TIMEOUT_S = 10.0
PORT_MAX = 65535
CLOSED_BY_PEER = "the peer closed the connection"


class FrameConnection(asyncio.Protocol):
    """Carries frames once both sides have proven the secret.

    Whoever makes one sets ``on_open``, ``on_frame`` (gets each frame without its length; may raise
    ``WallarooError`` to end the connection) and ``on_lost`` (gets the reason, once, also where the
    connection never opened).
    """

    def __init__(self, side: Side, purpose: Purpose, secret: bytes, frame_bytes_max: int) -> None:
        self.on_open: Callable[[], None] = lambda: None
        self.on_frame: Callable[[bytes], None] = lambda _: None
        self.on_lost: Callable[[str], None] = lambda _: None
        self.peer = "a stranger"
        self._handshake = Handshake(side, purpose, secret, os.urandom(NONCE_BYTES))
        self._framer = LengthFramer(4, ">I", frame_bytes_max)
        self._transport: asyncio.Transport | None = None
        self._timeout: asyncio.TimerHandle | None = None
        self._reason = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin the handshake."""
        self._transport = cast(asyncio.Transport, transport)
        if (address := self._transport.get_extra_info("peername")) is not None:
            self.peer = join_address(*address[:2])
        loop = asyncio.get_running_loop()
        self._timeout = loop.call_later(
            HANDSHAKE_TIMEOUT_S, self.abort, "no proof of the secret in time"
        )
        self._transport.write(self._handshake.first_bytes())

    def data_received(self, data: bytes) -> None:
        """Take bytes; a peer that breaks the rules loses the connection."""
        try:
            if not self._handshake.is_done:
                data = self._shake_hands(data)
            for frame in self._framer.receive_data(data):
                self.on_frame(frame)
            if self._framer.error is not None:
                raise self._framer.error
        except WallarooError as error:
            self.abort(error.what)
        except Exception as error:  # noqa: BLE001  told as the bug it is; uvloop would swallow some
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": "a frame broke us", "exception": error})
            self.abort("a frame could not be handled")

    def _shake_hands(self, data: bytes) -> bytes:
        assert self._transport is not None
        answer = self._handshake.receive_data(data)
        if answer:
            self._transport.write(answer)
        if not self._handshake.is_done:
            return b""
        assert self._timeout is not None
        self._timeout.cancel()
        self.on_open()
        return self._handshake.rest

    def write(self, data: bytes) -> None:
        """Send an encoded frame; nothing happens where the connection is gone."""
        if self._transport is not None:
            self._transport.write(data)

    def abort(self, reason: str) -> None:
        """Break the connection; ``on_lost`` follows with this reason."""
        if self._transport is not None:
            self._reason = self._reason or reason
            self._transport.abort()

    def close(self) -> None:
        """End the connection once everything is written."""
        if self._transport is not None:
            self._transport.close()

    def outlast_loop(self) -> None:
        """Keep the connection open until this process ends, also when the event loop is closed."""
        if self._transport is not None:
            os.dup(self._transport.get_extra_info("socket").fileno())

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner."""
        self._transport = None
        if self._timeout is not None:
            self._timeout.cancel()
        self.on_lost(self._reason or (str(exc) if exc else CLOSED_BY_PEER))


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port``; an IPv6 host stands in brackets."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise ProtocolError(f"{address!r} is not an address of the form host:port")
    return host.strip("[]"), int(port)


def join_address(host: str, port: int) -> str:
    """Return ``host:port``, with brackets round an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
