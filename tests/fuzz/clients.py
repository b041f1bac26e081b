"""One connection of the fuzzer: sends its input, inside of TLS if the input asks for it."""

import contextlib
import os
import socket
import ssl
import time

from tests.fuzz.said import Address, Said, dialed

ANSWER_WAIT_S = 1.0
"""A client closes after so long without an answer; ports need not answer."""
PIECE_BYTES = 1 << 16
FILES = (*socket.socketpair(), open(os.devnull, "rb"), socket.socket())  # noqa: SIM115
"""The descriptors that clients attach."""


class Client:
    """Never waits for the other side; ``socket`` is for a selector."""

    def __init__(self, address: Address, said: Said, *, is_silent: bool) -> None:
        """``is_silent``: it does not say that nothing follows. Raises ``OSError``."""
        self._left = said.data
        self._is_silent = is_silent
        self._end: ssl.SSLObject | None = None
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.deadline = time.monotonic() + ANSWER_WAIT_S
        self.socket = dialed(address)
        with contextlib.suppress(OSError):
            if said.tls is not None:
                self._end = said.tls.wrap_bio(self._incoming, self._outgoing)
                self._go_on(b"")
            elif said.file_count:
                self._attach(said)
            else:
                self._say(self._left)
        self.socket.setblocking(False)

    def receive(self) -> bool:
        """Read what has arrived; return whether the other side has ended the connection."""
        try:
            data = self.socket.recv(PIECE_BYTES)
            if data and self._end is not None:
                self._go_on(data)
        except OSError:
            return True
        return not data

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def _attach(self, said: Said) -> None:
        files = [FILES[number % len(FILES)].fileno() for number in range(said.file_count)]
        sent = socket.send_fds(self.socket, [said.data], files)
        self._say(said.data[sent:])

    def _go_on(self, data: bytes) -> None:
        """Go on with TLS; say all inside of it as soon as that is possible."""
        assert self._end is not None
        self._incoming.write(data)
        try:
            self._end.do_handshake()
        except ssl.SSLWantReadError:
            self.socket.sendall(self._outgoing.read())
            return
        if self._left:
            self._end.write(self._left)
        self._end = None
        self._say(self._outgoing.read())

    def _say(self, last: bytes) -> None:
        self.socket.sendall(last)
        if not self._is_silent:
            self.socket.shutdown(socket.SHUT_WR)


class Dripper:
    """Says its input a byte at a time, as slowly as it is asked to."""

    def __init__(self, address: Address, data: bytes) -> None:
        """Raises ``OSError``."""
        self._data = data
        self._next = 0
        self.socket = dialed(address)

    def drip(self) -> bool:
        """Say one byte more; return whether there is one more to say, and somebody to hear it."""
        if self._next >= len(self._data):
            return False
        try:
            self.socket.send(self._data[self._next : self._next + 1])
        except OSError:
            return False
        self._next += 1
        return True

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()
