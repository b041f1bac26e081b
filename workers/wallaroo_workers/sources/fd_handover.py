"""Gives connections of senders to another worker of this host, and takes them from one.

Descriptors pass between processes over Unix sockets only, and no event loop sends them; so each
transfer is a few blocking calls in a thread, within a time limit. The socket lies in a folder that
belongs to this worker's user alone, and whoever connects has to prove the cluster's secret before
there is a thread for it.
"""

import asyncio
import contextlib
import os
import resource
import socket
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from wallaroo.errors import ProtocolError, WallarooError
from wallaroo.ingest.connection_handover import Handed, HandOverEvents, Offer, drop
from wallaroo.wire.connection_handover import (
    ACCEPTED,
    OFFER_BYTES_MAX,
    REFUSED,
    batch_bytes_max,
    batches,
    decode_batch,
    decode_offer,
    encode_offer,
)
from wallaroo_workers.forks import ours
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.unauthenticated import Waiting
from wallaroo_workers.network.unix_paths import socket_path
from wallaroo_workers.rate_limited_log import BoundedLog
from wallaroo_workers.sources.fd_transfer import TimedLine, close_all, prove_as_listener

log = get_logger()

SOCKET_NAME = "hand-over"
BACKLOG_LINES = 128
STRANGERS_MAX = 64
"""That have not proven the secret yet."""
AT_ONCE_MAX = 16
"""Transfers; more wait for a thread."""
ACCEPT_AGAIN_S = 1.0
FILES_PART = 0.75
"""Of the files that a process may have open: it takes no connection beyond that, since it needs
some for links and checkpoints too."""
HINT_FILES = "let workers have more files open (ulimit -n)"


class UnixHandOver:
    """Both sides of it, for one worker. Without a ``folder`` it takes nothing."""

    def __init__(
        self,
        folder: str,
        secret: bytes,
        frame_bytes_max: int,
        pipelines: frozenset[int],
        events: HandOverEvents,
    ) -> None:
        self.path = ""
        self._events = events
        self._folder = folder
        self._secret = secret
        self._bytes_max = batch_bytes_max(frame_bytes_max)
        self._pipelines = pipelines
        self._socket: socket.socket | None = None
        self._strangers: Waiting[asyncio.Task[None]] = Waiting(STRANGERS_MAX)
        self._refusals = BoundedLog(log.warning, "hand_over.refused")
        self._served: set[asyncio.Task[None]] = set()
        # Not the loop's own threads, which files and checkpoints need.
        self._threads = ThreadPoolExecutor(AT_ONCE_MAX, "hand-over")
        self._lines: set[socket.socket] = set()
        """Those that threads use."""

    def listen(self) -> None:
        """Take connections from now on; where that cannot be, say so and take none."""
        if not self._folder:
            return
        listening = ours(socket.socket(socket.AF_UNIX))
        path = os.path.join(self._folder, SOCKET_NAME)
        try:
            with socket_path(path) as short:
                listening.bind(short)
            listening.listen(BACKLOG_LINES)
        except OSError as error:
            listening.close()
            log.warning(
                "senders.not_taken_over",
                path=path,
                reason=str(error),
                hint="senders of workers that leave have to connect again; see that TMPDIR is a "
                "folder in which sockets can be made",
            )
            return
        listening.setblocking(False)
        self._socket, self.path = listening, path
        self._resume()

    def close(self) -> None:
        """Take no more, end what is under way, and leave nothing behind."""
        for proving in self._strangers:
            proving.cancel()
        for line in list(self._lines):
            # A thread that waits for the other side wakes up.
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        self._threads.shutdown(wait=False, cancel_futures=True)
        if self._socket is None:
            return
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._socket = None
        with contextlib.suppress(OSError):
            os.unlink(self.path)
            os.rmdir(self._folder)

    # The taker

    def _resume(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().add_reader(self._socket, self._accept)

    def _accept(self) -> None:
        assert self._socket is not None
        loop = asyncio.get_running_loop()
        try:
            line, _ = self._socket.accept()
            ours(line)
        except BlockingIOError:
            return
        except OSError as error:
            # No more files, most likely. Who waits does so in the kernel.
            self._refusals.add(reason=str(error), hint=HINT_FILES)
            loop.remove_reader(self._socket)
            loop.call_later(ACCEPT_AGAIN_S, self._resume)
            return
        line.setblocking(False)
        proving = loop.create_task(prove_as_listener(line, self._secret))
        if (oldest := self._strangers.came(proving)) is not None:
            oldest.cancel()
            self._refusals.add(reason=f"more than {STRANGERS_MAX} wait for their proof")
        proving.add_done_callback(lambda _: self._has_proven(proving, line))

    def _has_proven(self, proving: asyncio.Task[None], line: socket.socket) -> None:
        self._strangers.gone(proving)
        # Not raised: its traceback would know this frame, and wait for the garbage collector.
        error = None if proving.cancelled() else proving.exception()
        if isinstance(error, OSError | WallarooError):
            self._refusals.add(reason=str(error))
        elif error is not None:
            raise error
        elif not proving.cancelled() and self._socket is not None:
            serving = asyncio.get_running_loop().create_task(self._serve(line))
            self._served.add(serving)
            serving.add_done_callback(self._served.discard)
            return
        line.close()

    async def _serve(self, line: socket.socket) -> None:
        with self._used(line) as timed:
            try:
                receiving = asyncio.get_running_loop().run_in_executor
                offer, handed = await receiving(self._threads, self._receive, timed)
            except (OSError, WallarooError) as error:
                log.warning("senders.not_taken_over", reason=str(error))
                return
            is_aside = self._events.connections_offered(offer, handed)
            if not is_aside:
                drop(handed)
            with contextlib.suppress(OSError):
                # A giver that waits no longer has told, or will tell, that it keeps what it gave.
                timed.send(ACCEPTED if is_aside else REFUSED)

    @contextlib.contextmanager
    def _used(self, line: socket.socket) -> Iterator[TimedLine]:
        """Have ``close`` end the line, while it is used by a thread; close it afterwards."""
        self._lines.add(line)
        try:
            yield TimedLine(line)
        finally:
            self._lines.discard(line)
            line.close()

    def _receive(self, timed: TimedLine) -> tuple[Offer, list[Handed]]:
        resize, giver, attempt, count = decode_offer(timed.receive_part(OFFER_BYTES_MAX))
        _check_room(count)
        handed: list[Handed] = []
        try:
            while len(handed) < count:
                handed += self._receive_batch(timed)
        except BaseException:
            drop(handed)
            raise
        return Offer(resize, giver, attempt), handed

    def _receive_batch(self, timed: TimedLine) -> list[Handed]:
        content, streams = timed.receive_batch(self._bytes_max)
        try:
            told = decode_batch(content, self._pipelines)
            if not streams or len(told) != len(streams):
                raise ProtocolError(
                    f"{len(told)} connections were given, and {len(streams)} came", HINT_FILES
                )
        except ProtocolError:
            close_all(streams)
            raise
        return [Handed(*each, to) for each, to in zip(told, streams, strict=True)]

    # The giver

    def is_here(self, path: str) -> bool:
        """Whether a worker takes connections there, on this host."""
        try:
            return stat.S_ISSOCK(os.stat(path).st_mode)
        except OSError:
            return False

    async def give(self, offer: Offer, shares: Mapping[str, Sequence[Handed]]) -> set[str]:
        """Offer each path its share, and close them; return where they certainly lie aside."""
        loop = asyncio.get_running_loop()
        given = await asyncio.gather(
            *(
                loop.run_in_executor(self._threads, self._give, path, offer, share)
                for path, share in shares.items()
            )
        )
        count = sum(map(len, shares.values()))
        if all(given) and count:
            log.info("senders.handed_over", connections=count, workers=len(shares))
        return {path for path, is_aside in zip(shares, given, strict=True) if is_aside}

    def _give(self, path: str, offer: Offer, share: Sequence[Handed]) -> bool:
        try:
            with self._used(ours(socket.socket(socket.AF_UNIX))) as timed:
                timed.dial(path, self._secret)
                timed.send(encode_offer(offer.resize, offer.giver, offer.attempt, len(share)))
                for batch in batches([each.begin for each in share]):
                    timed.send_batch(share[batch])
                reason = "it refused" if timed.receive(len(ACCEPTED)) != ACCEPTED else ""
        except (OSError, WallarooError) as error:
            reason = str(error)
        finally:
            drop(share)
        if reason:
            log.warning("senders.not_handed_over", path=path, reason=reason)
        return not reason


def _check_room(connection_count: int) -> None:
    """Raise ``ProtocolError`` where so many more would leave this process too few files."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_count = len(os.listdir("/proc/self/fd"))
    if open_count + connection_count > FILES_PART * limit:
        raise ProtocolError(
            f"{connection_count} connections are too many for a worker that has {open_count} files "
            f"open, and may have {limit}",
            HINT_FILES,
        )
