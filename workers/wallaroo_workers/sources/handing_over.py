"""Gives connections of senders to another worker of this host, and takes them from one.

Descriptors pass between processes over Unix sockets only, and no event loop sends them; so each
transfer is a few blocking calls in a thread, within a time limit. The socket lies in a folder that
belongs to this worker's user alone, and whoever connects has to prove the cluster's secret.
"""

import asyncio
import contextlib
import os
import socket
import stat
import time
from collections.abc import Callable, Mapping, Sequence

import structlog

from wallaroo.cluster.handing_over import Handed, drop
from wallaroo.errors import ProtocolError, WallarooError
from wallaroo.names import WorkerName
from wallaroo.wire.handing_over import (
    ACCEPTED,
    BATCH_COUNT_MAX,
    HINT_RELEASE,
    LENGTH,
    OFFER_BYTES_MAX,
    REFUSED,
    batch_bytes_max,
    batches,
    decode_batch,
    decode_offer,
    encode_batch,
    encode_offer,
)
from wallaroo.wire.handshake import (
    DIALER_OPENING_BYTES,
    LISTENER_OPENING_BYTES,
    NONCE_BYTES,
    PROOF_BYTES,
    Handshake,
    Purpose,
    Side,
)

log = structlog.get_logger()

SOCKET_NAME = "hand-over"
TIME_MAX_S = 10.0
"""For all that is given to one worker. It may be busy; senders wait meanwhile."""
GIVERS_MAX = 32
"""At a time; more are told to close what they have."""

Offer = tuple[int, WorkerName, list[Handed]]


class UnixHandOver:
    """Both sides of it, for one worker. Without a ``folder`` it takes nothing."""

    def __init__(
        self, folder: str, secret: bytes, frame_bytes_max: int, pipelines: frozenset[int]
    ) -> None:
        self.path = ""
        self.on_offer: Callable[[int, WorkerName, list[Handed]], bool] = lambda *_: False
        self._folder = folder
        self._secret = secret
        self._bytes_max = batch_bytes_max(frame_bytes_max)
        self._pipelines = pipelines
        self._socket: socket.socket | None = None
        self._served: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        """Take connections from now on; where that cannot be, say so and take none."""
        if not self._folder:
            return
        listening = socket.socket(socket.AF_UNIX)
        path = os.path.join(self._folder, SOCKET_NAME)
        try:
            listening.bind(path)
            listening.listen(GIVERS_MAX)
        except OSError as error:
            listening.close()
            log.warning(
                "senders.not_taken_over",
                path=path,
                reason=str(error),
                hint="senders of workers that leave are hung up on; a shorter TMPDIR may help",
            )
            return
        listening.setblocking(False)
        self._socket, self.path = listening, path
        asyncio.get_running_loop().add_reader(listening, self._accept)

    def close(self) -> None:
        """Take no more, and leave nothing behind."""
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        with contextlib.suppress(OSError):
            os.unlink(self.path)
            os.rmdir(self._folder)

    # The taker

    def _accept(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(BlockingIOError):
            line, _ = self._socket.accept()
            if len(self._served) >= GIVERS_MAX:
                line.close()
                return
            serving = asyncio.get_running_loop().create_task(self._serve(line))
            self._served.add(serving)
            serving.add_done_callback(self._served.discard)

    async def _serve(self, line: socket.socket) -> None:
        with line:
            try:
                resize, giver, handed = await asyncio.to_thread(self._receive, line)
            except (OSError, WallarooError) as error:
                log.warning("senders.not_taken_over", reason=str(error))
                return
            is_aside = self.on_offer(resize, giver, handed)
            if not is_aside:
                drop(handed)
            with contextlib.suppress(OSError):
                # A giver that waits no longer has told, or will tell, that it keeps what it gave.
                line.send(ACCEPTED if is_aside else REFUSED)

    def _receive(self, line: socket.socket) -> Offer:
        timed = _Timed(line)
        _prove_as_listener(timed, self._secret)
        offer, _ = timed.receive_part(OFFER_BYTES_MAX)
        resize, giver, count = decode_offer(offer)
        told: list[tuple[int, bytes]] = []
        streams: list[socket.socket] = []
        try:
            while len(told) < count:
                content, files = timed.receive_part(self._bytes_max)
                streams += files
                told += decode_batch(content, self._pipelines)
                if not (files and len(told) == len(streams)):
                    raise ProtocolError(
                        f"{len(told)} connections were given, and {len(streams)} came",
                        hint="let this process have more files open",
                    )
        except BaseException:
            for stream in streams:
                stream.close()
            raise
        return resize, giver, [Handed(*each, to) for each, to in zip(told, streams, strict=True)]

    # The giver

    def is_here(self, path: str) -> bool:
        """Whether a worker takes connections there, on this host."""
        try:
            return stat.S_ISSOCK(os.stat(path).st_mode)
        except OSError:
            return False

    async def give(
        self, resize: int, giver: WorkerName, shares: Mapping[str, Sequence[Handed]]
    ) -> bool:
        """Offer each path its share, and close them; say whether all of them lie aside there."""
        given = await asyncio.gather(
            *(
                asyncio.to_thread(self._give, path, encode_offer(resize, giver, len(share)), share)
                for path, share in shares.items()
            )
        )
        count = sum(map(len, shares.values()))
        if all(given) and count:
            log.info("senders.handed_over", connections=count, workers=len(shares))
        return all(given)

    def _give(self, path: str, offer: bytes, share: Sequence[Handed]) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as line:
                timed = _Timed(line)
                line.connect(path)
                _prove_as_dialer(timed, self._secret)
                timed.send(offer)
                for batch in batches([each.begin for each in share]):
                    timed.send_part(share[batch])
                return timed.receive(len(ACCEPTED)) == ACCEPTED
        except (OSError, WallarooError) as error:
            log.warning("senders.not_handed_over", path=path, reason=str(error))
            return False
        finally:
            drop(share)


class _Timed:
    """A Unix socket in a thread; all calls together have so much time. They raise ``OSError``."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._until_s = time.monotonic() + TIME_MAX_S
        self._limit()

    def _limit(self) -> None:
        left_s = self._until_s - time.monotonic()
        if left_s <= 0:
            raise TimeoutError(f"it took longer than {TIME_MAX_S:g} s")
        self._line.settimeout(left_s)

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self._limit()
        self._line.sendall(data)

    def receive(self, byte_count: int) -> bytes:
        """Return exactly so many bytes."""
        found = bytearray()
        while len(found) < byte_count:
            self._limit()
            data = self._line.recv(byte_count - len(found))
            if not data:
                raise ConnectionError("the other worker hung up")
            found += data
        return bytes(found)

    def send_part(self, share: Sequence[Handed]) -> None:
        """Send a batch and its descriptors."""
        data = encode_batch([(each.pipeline, each.begin) for each in share])
        files = [each.stream.fileno() for each in share]
        self._limit()
        sent = socket.send_fds(self._line, [data[: LENGTH.size]], files)
        self.send(data[sent:])

    def receive_part(self, byte_count_max: int) -> tuple[bytes, list[socket.socket]]:
        """Return what follows a length, and the connections that came with it."""
        self._limit()
        head, files, _, _ = socket.recv_fds(
            self._line, LENGTH.size, BATCH_COUNT_MAX, socket.MSG_CMSG_CLOEXEC
        )
        try:
            head += self.receive(LENGTH.size - len(head))
            (byte_count,) = LENGTH.unpack(head)
            if byte_count > byte_count_max:
                raise ProtocolError(
                    f"{byte_count} bytes are more than the {byte_count_max} allowed",
                    hint=HINT_RELEASE,
                )
            content = self.receive(byte_count)
            return content, [socket.socket(fileno=file) for file in files]
        except BaseException:
            for file in files:
                os.close(file)
            raise


def _prove_as_dialer(timed: _Timed, secret: bytes) -> None:
    """Prove the secret, and have it proven; raises ``ProtocolError`` for a stranger.

    Nothing behind the proof is read with it: descriptors come beside the bytes.
    """
    handshake = Handshake(Side.DIALER, Purpose.HAND_OVER, secret, os.urandom(NONCE_BYTES))
    timed.send(handshake.first_bytes())
    timed.send(handshake.receive_data(timed.receive(LISTENER_OPENING_BYTES)))


def _prove_as_listener(timed: _Timed, secret: bytes) -> None:
    """As ``_prove_as_dialer``, for the other side."""
    handshake = Handshake(Side.LISTENER, Purpose.HAND_OVER, secret, os.urandom(NONCE_BYTES))
    timed.send(handshake.receive_data(timed.receive(DIALER_OPENING_BYTES)))
    handshake.receive_data(timed.receive(PROOF_BYTES))
