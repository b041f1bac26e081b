"""A Unix socket between two workers of one host, over which descriptors pass beside bytes.

The proof of the secret waits for nobody but the event loop. What follows it is for a thread: no
event loop sends descriptors.
"""

import asyncio
import os
import socket
import time
from collections.abc import Sequence

from wallaroo.errors import ProtocolError
from wallaroo.ingest.connection_handover import Handed
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
"""For a proof, and for all that is given to one worker. It may be busy; senders wait meanwhile."""


async def prove_as_listener(line: socket.socket, secret: bytes) -> None:
    """Prove the secret over a socket that does not block, and have it proven.

    Nothing behind the proof is read with it; descriptors that come before are never opened. Raises
    ``OSError``, or ``ProtocolError`` for a stranger.
    """
    loop = asyncio.get_running_loop()
    handshake = Handshake(Side.LISTENER, Purpose.HAND_OVER, secret, os.urandom(NONCE_BYTES))
    missing = DIALER_OPENING_BYTES + PROOF_BYTES
    try:
        async with asyncio.timeout(TIME_MAX_S):
            while missing:
                data = await loop.sock_recv(line, missing)
                if not data:
                    raise ConnectionError("the other side hung up before its proof")
                missing -= len(data)
                if answer := handshake.receive_data(data):
                    await loop.sock_sendall(line, answer)
    except TimeoutError:
        raise TimeoutError("no proof of the secret in time") from None


class TimedLine:
    """A Unix socket in a thread; all calls together have so much time. They raise ``OSError``."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._until_s = time.monotonic() + TIME_MAX_S

    def _limit(self) -> None:
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(f"it took longer than {TIME_MAX_S:g} s")
        self._line.settimeout(left_s)

    def dial(self, path: str, secret: bytes) -> None:
        """Connect, prove the secret and have it proven; ``ProtocolError`` for a stranger."""
        self._limit()
        with socket_path(path) as short:
            self._line.connect(short)
        handshake = Handshake(Side.DIALER, Purpose.HAND_OVER, secret, os.urandom(NONCE_BYTES))
        self.send(handshake.first_bytes())
        self.send(handshake.receive_data(self.receive(LISTENER_OPENING_BYTES)))

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._limit()
        self._line.sendall(data)

    def receive(self, byte_count: int) -> bytes:
        """Return exactly so many bytes; descriptors beside them are never opened."""
        found = bytearray()
        while len(found) < byte_count:
            self._limit()
            data = self._line.recv(byte_count - len(found))
            if not data:
                raise ConnectionError("the other worker hung up")
            found += data
        return bytes(found)

    def receive_part(self, byte_count_max: int) -> bytes:
        """Return what follows a length; ``ProtocolError`` where that is too much."""
        return self._receive_content(self.receive(LENGTH.size), byte_count_max)

    def send_batch(self, share: Sequence[Handed]) -> None:
        """Send connections and their descriptors."""
        data = encode_batch([(each.pipeline, each.begin) for each in share])
        files = [each.stream.fileno() for each in share]
        self._limit()
        sent = socket.send_fds(self._line, [data[: LENGTH.size]], files)
        self.send(data[sent:])

    def receive_batch(self, byte_count_max: int) -> tuple[bytes, list[socket.socket]]:
        """Return what follows a length, and the sockets that came beside it."""
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
    """Return what owns these descriptors; all are closed where one is no socket's."""
    streams: list[socket.socket] = []
    try:
        for file in files:
            streams.append(ours(socket.socket(fileno=file)))  # noqa: PERF401  so many are owned
    except OSError:
        for file in files[len(streams) :]:
            os.close(file)
        close_all(streams)
        raise
    return streams


def close_all(streams: Sequence[socket.socket]) -> None:
    """Give these copies up."""
    for stream in streams:
        stream.close()
