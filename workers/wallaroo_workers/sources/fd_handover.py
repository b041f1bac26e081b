"""Hands the sockets of senders over to another worker of the same host, and receives them.

Processes can pass file descriptors only over Unix sockets, and no event loop sends them. So each
transfer is a few blocking calls in a thread, within a time limit. The socket is in a folder that
only this worker's user may enter, and a peer has to prove the cluster's secret before it gets a
thread.

While a hand-over runs, both workers hold descriptors of the same sockets, and a connection must
never be read by two workers. The departing worker therefore stops reading first. The receiving
worker stages the connections without reading them until the resize commits; if it does not answer,
the departing worker cannot know whether it received them, and treats them as not handed over.
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
from wallaroo.ingest.connection_handover import ConnectionCopy, HandOverEvents, Offer, drop
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
from wallaroo_workers.rate_limited_log import RateLimitedLog
from wallaroo_workers.sources.fd_transfer import TimedLine, close_all, prove_as_listener

log = get_logger()

SOCKET_NAME = "hand-over"
BACKLOG_LINES = 128
UNAUTHENTICATED_MAX = 64
"""Peers that have not proven the secret yet."""
TRANSFERS_MAX = 16
"""Transfers at a time; others wait for a thread."""
ACCEPT_AGAIN_S = 1.0
FILES_PART = 0.75
"""The part of its open-file limit up to which a worker accepts connections; it needs the rest for
links and checkpoints."""
HINT_FILES = "raise the limit of open files for workers (ulimit -n)"


class UnixHandOver:
    """Both sides of the hand-over, for one worker. Without a ``folder`` it accepts nothing."""

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
        self._unauthenticated: Waiting[asyncio.Task[None]] = Waiting(UNAUTHENTICATED_MAX)
        self._refusals = RateLimitedLog(log.warning, "handover.rejected")
        self._served: set[asyncio.Task[None]] = set()
        # A pool of its own: files and checkpoints need the loop's default threads.
        self._threads = ThreadPoolExecutor(TRANSFERS_MAX, "hand-over")
        self._lines: set[socket.socket] = set()
        """The sockets that threads are using."""

    def listen(self) -> None:
        """Start to accept hand-overs; if that fails, log it and accept none."""
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
                "source_connections.takeover_failed",
                path=path,
                reason=str(error),
                hint="senders of departing workers have to reconnect; set TMPDIR to a folder in "
                "which sockets can be created",
            )
            return
        listening.setblocking(False)
        self._socket, self.path = listening, path
        self._resume()

    def close(self) -> None:
        """Accept nothing more, cancel running transfers and remove the socket."""
        for proving in self._unauthenticated:
            proving.cancel()
        for line in list(self._lines):
            # This wakes a thread that waits for the other side.
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

    # The receiving side

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
            # Most likely out of file descriptors. Peers wait in the kernel meanwhile.
            self._refusals.add(reason=str(error), hint=HINT_FILES)
            loop.remove_reader(self._socket)
            loop.call_later(ACCEPT_AGAIN_S, self._resume)
            return
        line.setblocking(False)
        proving = loop.create_task(prove_as_listener(line, self._secret))
        if (oldest := self._unauthenticated.add(proving)) is not None:
            oldest.cancel()
            self._refusals.add(
                reason=f"more than {UNAUTHENTICATED_MAX} connections have not proven the secret"
            )
        proving.add_done_callback(lambda _: self._has_proven(proving, line))

    def _has_proven(self, proving: asyncio.Task[None], line: socket.socket) -> None:
        self._unauthenticated.remove(proving)
        # Not awaited: the traceback of a raised error would refer to this frame, and both would
        # live until the garbage collector runs.
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
                offer, copies = await receiving(self._threads, self._receive, timed)
            except (OSError, WallarooError) as error:
                log.warning("source_connections.takeover_failed", reason=str(error))
                return
            is_aside = self._events.connections_offered(offer, copies)
            if not is_aside:
                drop(copies)
            with contextlib.suppress(OSError):
                # If the departing worker no longer waits, it reports these as not handed over.
                timed.send(ACCEPTED if is_aside else REFUSED)

    @contextlib.contextmanager
    def _used(self, line: socket.socket) -> Iterator[TimedLine]:
        """Register the socket for ``close`` while a thread uses it; close it afterwards."""
        self._lines.add(line)
        try:
            yield TimedLine(line)
        finally:
            self._lines.discard(line)
            line.close()

    def _receive(self, timed: TimedLine) -> tuple[Offer, list[ConnectionCopy]]:
        resize, giver, attempt, count = decode_offer(timed.receive_part(OFFER_BYTES_MAX))
        _check_room(count)
        copies: list[ConnectionCopy] = []
        try:
            while len(copies) < count:
                copies += self._receive_batch(timed)
        except BaseException:
            drop(copies)
            raise
        return Offer(resize, giver, attempt), copies

    def _receive_batch(self, timed: TimedLine) -> list[ConnectionCopy]:
        content, streams = timed.receive_batch(self._bytes_max)
        try:
            told = decode_batch(content, self._pipelines)
            if not streams or len(told) != len(streams):
                raise ProtocolError(
                    f"{len(told)} connections were sent but {len(streams)} descriptors arrived",
                    HINT_FILES,
                )
        except ProtocolError:
            close_all(streams)
            raise
        return [ConnectionCopy(*each, to) for each, to in zip(told, streams, strict=True)]

    # The departing side

    def is_here(self, path: str) -> bool:
        """Return whether a worker of this host accepts hand-overs at ``path``."""
        try:
            return stat.S_ISSOCK(os.stat(path).st_mode)
        except OSError:
            return False

    async def give(self, offer: Offer, shares: Mapping[str, Sequence[ConnectionCopy]]) -> set[str]:
        """Send each path its share and close our copies; return the paths that confirmed theirs."""
        loop = asyncio.get_running_loop()
        given = await asyncio.gather(
            *(
                loop.run_in_executor(self._threads, self._give, path, offer, share)
                for path, share in shares.items()
            )
        )
        count = sum(map(len, shares.values()))
        if all(given) and count:
            log.info("source_connections.handed_over", connections=count, workers=len(shares))
        return {path for path, is_aside in zip(shares, given, strict=True) if is_aside}

    def _give(self, path: str, offer: Offer, share: Sequence[ConnectionCopy]) -> bool:
        try:
            with self._used(ours(socket.socket(socket.AF_UNIX))) as timed:
                timed.dial(path, self._secret)
                timed.send(encode_offer(offer.resize, offer.giver, offer.attempt, len(share)))
                for batch in batches([each.partial_frame for each in share]):
                    timed.send_batch(share[batch])
                is_accepted = timed.receive(len(ACCEPTED)) == ACCEPTED
                reason = "" if is_accepted else "the other worker refused"
        except (OSError, WallarooError) as error:
            reason = str(error)
        finally:
            drop(share)
        if reason:
            log.warning("source_connections.handover_failed", path=path, reason=reason)
        return not reason


def _check_room(connection_count: int) -> None:
    """Raise ``ProtocolError`` if the connections would leave this process too few descriptors."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    open_count = len(os.listdir("/proc/self/fd"))
    if open_count + connection_count > FILES_PART * limit:
        raise ProtocolError(
            f"{connection_count} connections are too many for a worker that has {open_count} of "
            f"{limit} allowed files open",
            HINT_FILES,
        )
