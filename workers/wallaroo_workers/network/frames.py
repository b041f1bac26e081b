"""A connection between two processes of a cluster: optional TLS, proof of the secret, frames."""

import asyncio
import os
from typing import Protocol, cast

from wallaroo.codec.framing import LengthFramer
from wallaroo.errors import FramingError, ProtocolError, WallarooError
from wallaroo.wire.handshake import NONCE_BYTES, Handshake, Purpose, Side
from wallaroo_workers.forks import ours
from wallaroo_workers.network.tls import Tls, TlsStream

HANDSHAKE_TIMEOUT_S = 10.0
PORT_MAX = 65535
CLOSED_BY_PEER = "the peer closed the connection"


class FrameHandler(Protocol):
    """The owner of a connection."""

    def opened(self, connection: "FrameConnection") -> None:
        """Both sides have proven the secret."""
        ...

    def received(self, connection: "FrameConnection", frame: bytes) -> None:
        """Handle a frame, which is without its length.

        Raises ``ProtocolError`` to end the connection.
        """
        ...

    def lost(self, connection: "FrameConnection", reason: str) -> None:
        """The connection has ended. This is called once, even if it never opened."""
        ...


class FrameConnection(asyncio.Protocol):
    """Carries frames once both sides have proven the secret.

    Before the proof nothing is parsed and at most one read is buffered.
    """

    def __init__(
        self,
        side: Side,
        purpose: Purpose,
        secret: bytes,
        frame_bytes_max: int,
        handler: FrameHandler,
        tls: Tls | None = None,
    ) -> None:
        self._handler: FrameHandler | None = handler
        self.peer = "an unknown peer"
        self.received_bytes = 0
        self.refusal: WallarooError | None = None
        """The peer's mistake, if that ended the connection."""
        self._handshake = Handshake(side, purpose, secret, os.urandom(NONCE_BYTES))
        self._framer = LengthFramer(4, ">I", frame_bytes_max)
        self._tls = None if tls is None else TlsStream(tls, is_listening=side is Side.LISTENER)
        self._transport: asyncio.Transport | None = None
        self._timeout: asyncio.TimerHandle | None = None
        self._reason = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the handshake."""
        self._transport = cast(asyncio.Transport, transport)
        if (address := self._transport.get_extra_info("peername")) is not None:
            self.peer = join_address(*address[:2])
        loop = asyncio.get_running_loop()
        self._timeout = loop.call_later(
            HANDSHAKE_TIMEOUT_S, self.abort, "the peer did not prove the secret in time"
        )
        if self._tls is None:
            self.write(self._handshake.first_bytes())
        else:
            self._tls.start()
            self._transport.write(self._tls.take_bytes())

    @property
    def local_host(self) -> str:
        """The local address of the connection; empty if it is closed."""
        name = None if self._transport is None else self._transport.get_extra_info("sockname")
        return "" if name is None else str(name[0])

    def data_received(self, data: bytes) -> None:
        """Handle received bytes; a peer that breaks the protocol is disconnected."""
        self.received_bytes += len(data)
        try:
            if self._tls is not None:
                data = self._decrypted(data, self._tls)
            if not self._handshake.is_done:
                data = self._shake_hands(data)
            for frame in self._framer.receive_data(data):
                if self._handler is not None:
                    self._handler.received(self, frame)
            if self._framer.error is not None:
                raise self._framer.error
        except (FramingError, ProtocolError) as error:
            self._refuse(error)
            self.abort(error.what)
        except Exception as error:  # noqa: BLE001  uvloop would swallow some
            # Not the peer's fault: the handler of the frame has a bug.
            context = {"message": "the handler of a frame failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            self.abort("a frame could not be handled")

    def _refuse(self, error: WallarooError) -> None:
        # Keep a copy: the error's own traceback refers to this connection and would keep it alive.
        self.refusal = self.refusal or type(error)(error.what, error.hint)

    def _decrypted(self, data: bytes, tls: TlsStream) -> bytes:
        assert self._transport is not None
        was_open = tls.is_open
        try:
            data = tls.receive_data(data)
        except WallarooError as error:
            # Close, not abort, so that the reason still reaches the peer.
            self._refuse(error)
            self._reason = self._reason or error.what
            self._transport.write(tls.last_bytes())
            self._transport.close()
            return b""
        self._transport.write(tls.take_bytes())
        if tls.is_open and not was_open:
            self.write(self._handshake.first_bytes())
        return data

    def _shake_hands(self, data: bytes) -> bytes:
        if not data:
            return b""
        if answer := self._handshake.receive_data(data):
            self.write(answer)
        if not self._handshake.is_done:
            return b""
        assert self._timeout is not None
        self._timeout.cancel()
        if self._handler is not None:
            self._handler.opened(self)
        return self._handshake.rest

    def write(self, data: bytes) -> None:
        """Send an encoded frame; do nothing if the connection is closed."""
        if self._transport is None or not data:
            return
        if self._tls is None:
            self._transport.write(data)
        else:
            self._tls.write(data)
            self._transport.write(self._tls.take_bytes())

    def abort(self, reason: str) -> None:
        """Break the connection; its handler is called with this reason."""
        if self._transport is not None:
            self._reason = self._reason or reason
            self._transport.abort()

    def close(self) -> None:
        """Close the connection once everything is written."""
        if self._transport is not None:
            self._transport.close()

    def outlast_loop(self) -> None:
        """Keep the connection open until this process ends, even after the event loop is closed."""
        if self._transport is not None:
            ours(os.dup(self._transport.get_extra_info("socket").fileno()))

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the loss to the owner."""
        self._transport = None
        if self._timeout is not None:
            self._timeout.cancel()
        handler, self._handler = self._handler, None
        # The handler refers to this connection. Break the cycle: otherwise only the garbage
        # collector could free both, and workers run it rarely.
        if handler is not None:
            handler.lost(self, self._reason or (str(exc) if exc else CLOSED_BY_PEER))


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of ``host:port``; an IPv6 host is in brackets."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > PORT_MAX:
        raise ProtocolError(f"{address!r} is not an address of the form host:port")
    return host.strip("[]"), int(port)


def join_address(host: str, port: int) -> str:
    """Return ``host:port``, with brackets around an IPv6 host."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
