"""A Unix socket between two workers of one host, which carries bytes and file descriptors.

The proof of the secret runs on the event loop, so that an idle peer cannot occupy a thread. What
follows runs in a thread, because no event loop sends descriptors.
"""

import asyncio
import os
import socket
import time
from collections.abc import Sequence

from wallaroo.errors import ProtocolError
from wallaroo.ingest.connection_handover import ConnectionCopy
from wallaroo.wire.connection_handover import BATCH_COUNT_MAX, HINT_RELEASE, LENGTH, encode_batch
from wallaroo.wire.handshake import (
    DIALER_OPENING_BYTES,
    LISTENER_OPENING_BYTES,
    NONCE_BYTES,
    PROOF_BYTES,
    Handshake,
    Purpose,
    Side,
)
from wallaroo_workers.forks import ours
from wallaroo_workers.network.unix_paths import socket_path

TIME_MAX_S = 10.0
"""The limit for a proof, and for one whole hand-over. The receiver may be busy; senders wait."""


async def prove_as_listener(line: socket.socket, secret: bytes) -> None:
    """Prove the secret to the peer and check its proof, over a non-blocking socket.

    Reads no byte after the proof, and never receives descriptors sent before it. Raises
    ``OSError``, or ``ProtocolError`` for a peer without the secret.
    """
    loop = asyncio.get_running_loop()
    handshake = Handshake(Side.LISTENER, Purpose.HAND_OVER, secret, os.urandom(NONCE_BYTES))
    missing = DIALER_OPENING_BYTES + PROOF_BYTES
    try:
        async with asyncio.timeout(TIME_MAX_S):
            while missing:
                data = await loop.sock_recv(line, missing)
                if not data:
                    raise ConnectionError("the peer closed the connection before its proof")
                missing -= len(data)
                if answer := handshake.receive_data(data):
                    await loop.sock_sendall(line, answer)
    except TimeoutError:
        raise TimeoutError("the peer did not prove the secret in time") from None


class TimedLine:
    """A Unix socket for a thread. All calls share one time limit; they raise ``OSError``."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._until_s = time.monotonic() + TIME_MAX_S

    def _limit(self) -> None:
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(f"it took longer than {TIME_MAX_S:g} s")
        self._line.settimeout(left_s)

    def dial(self, path: str, secret: bytes) -> None:
        """Connect, and prove the secret to each other; ``ProtocolError`` if the peer lacks it."""
        self._limit()
        with socket_path(path) as short:
            self._line.connect(short)
        handshake = Handshake(Side.DIALER, Purpose.HAND_OVER, secret, os.urandom(NONCE_BYTES))
        self.send(handshake.first_bytes())
        self.send(handshake.receive_data(self.receive(LISTENER_OPENING_BYTES)))

    def send(self, data: bytes) -> None:
        """Send all of ``data``."""
        self._limit()
        self._line.sendall(data)

    def receive(self, byte_count: int) -> bytes:
        """Return exactly ``byte_count`` bytes; descriptors sent with them are not received."""
        found = bytearray()
        while len(found) < byte_count:
            self._limit()
            data = self._line.recv(byte_count - len(found))
            if not data:
                raise ConnectionError("the other worker closed the connection")
            found += data
        return bytes(found)

    def receive_part(self, byte_count_max: int) -> bytes:
        """Return a part that is preceded by its length; ``ProtocolError`` if it is too long."""
        return self._receive_content(self.receive(LENGTH.size), byte_count_max)

    def send_batch(self, share: Sequence[ConnectionCopy]) -> None:
        """Send connections and their descriptors."""
        data = encode_batch([(each.pipeline, each.partial_frame) for each in share])
        files = [each.stream.fileno() for each in share]
        self._limit()
        sent = socket.send_fds(self._line, [data[: LENGTH.size]], files)
        self.send(data[sent:])

    def receive_batch(self, byte_count_max: int) -> tuple[bytes, list[socket.socket]]:
        """Return a part that is preceded by its length, and the sockets sent with it."""
        self._limit()
        head, files, _, _ = socket.recv_fds(
            self._line, LENGTH.size, BATCH_COUNT_MAX, socket.MSG_CMSG_CLOEXEC
        )
        streams = _as_sockets(files)
        try:
            head += self.receive(LENGTH.size - len(head))
            return self._receive_content(head, byte_count_max), streams
        except BaseException:
            close_all(streams)
            raise

    def _receive_content(self, head: bytes, byte_count_max: int) -> bytes:
        (byte_count,) = LENGTH.unpack(head)
        if byte_count > byte_count_max:
            raise ProtocolError(
                f"{byte_count} bytes are more than the {byte_count_max} allowed", hint=HINT_RELEASE
            )
        return self.receive(byte_count)


def _as_sockets(files: Sequence[int]) -> list[socket.socket]:
    """Return sockets that own these descriptors; if one is not a socket, close all and raise."""
    streams: list[socket.socket] = []
    try:
        for file in files:
            streams.append(ours(socket.socket(fileno=file)))  # noqa: PERF401  the except block needs to know how many are owned
    except OSError:
        for file in files[len(streams) :]:
            os.close(file)
        close_all(streams)
        raise
    return streams


def close_all(streams: Sequence[socket.socket]) -> None:
    """Close these copies."""
    for stream in streams:
        stream.close()
