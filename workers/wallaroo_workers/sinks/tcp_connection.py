"""One connection to a TCP sink, and how many of its bytes the receiver has acknowledged."""

import array
import asyncio
import fcntl
import socket
import termios
from collections.abc import Callable
from typing import cast


class SinkConnection(asyncio.Protocol):
    """One connection. It holds at most one unwritten piece, so that we know what the kernel has."""

    def __init__(self, on_writable: Callable[[], None], on_lost: Callable[[str], None]) -> None:
        self._on_writable = on_writable
        self._on_lost = on_lost
        self._transport: asyncio.Transport
        self._has_eof = False
        self.is_writable = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Write small pieces at once, and hear when the kernel has taken each."""
        self._transport = cast(asyncio.Transport, transport)
        self._socket: socket.socket = transport.get_extra_info("socket")
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._transport.set_write_buffer_limits(high=1, low=0)
        self.is_writable = True

    def write(self, chunk: bytes) -> None:
        """Write a piece; the next one only once ``is_writable``."""
        self._transport.write(chunk)

    def buffered_bytes(self) -> int:
        """Return how many bytes the kernel has not taken."""
        return self._transport.get_write_buffer_size()

    def is_closing(self) -> bool:
        """Return whether the connection is being closed."""
        return self._transport.is_closing()

    def unacknowledged_bytes(self) -> int:
        """How many bytes of ``write`` the receiver's TCP has not acknowledged."""
        count = array.array("i", [0])
        fcntl.ioctl(self._socket.fileno(), termios.TIOCOUTQ, count)
        return count[0] + self.buffered_bytes()

    def pause_writing(self) -> None:
        """Note that the last piece is not with the kernel yet."""
        self.is_writable = False

    def resume_writing(self) -> None:
        """Report that the next piece may be written."""
        self.is_writable = True
        self._on_writable()

    def data_received(self, data: bytes) -> None:
        """Ignore what a receiver sends."""

    def eof_received(self) -> bool:
        """Go on writing: some receivers close their sending side at the start and go on reading."""
        self._has_eof = True
        return True

    def abort_if_reset(self) -> bool:
        """Return whether the receiver has reset the connection; if so, abort it.

        After an end of file the event loop no longer reads, so it does not notice the reset that
        answers what is written to a receiver that has ended.
        """
        if not self._has_eof:
            return False
        error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            self._transport.abort()
        return error != 0

    def connection_lost(self, exc: Exception | None) -> None:
        """Report why the connection has ended."""
        self.is_writable = False
        self._on_lost(str(exc) if exc else "the sink closed the connection")

    def close(self) -> None:
        """Close the connection; what is buffered is still written."""
        self._transport.close()
