"""Connects to other workers and reconnects for as long as a link is needed."""

import asyncio
import random
from collections import deque
from collections.abc import Callable

from wallaroo.links.back_pressure import Pressure
from wallaroo.links.dial_pauses import DialPauses
from wallaroo.links.outgoing import OutgoingLink
from wallaroo.wire.data_frames import FRAME_BYTES_MAX, LinkHello, encode_data_frame
from wallaroo.wire.handshake import Purpose, Side
from wallaroo_workers.logs import get_logger
from wallaroo_workers.network.frames import FrameConnection, split_address
from wallaroo_workers.network.tls import Tls

log = get_logger()

DIAL_TIMEOUT_S = 5.0
TOLD_AFTER_S = 1.0
AWAITED_S = 3.0
AWAITED_LOG_EVERY_S = 10.0
BREAKS_MAX = 5
BREAKS_WITHIN_S = 60.0
"""This many breaks are logged even if the link is back soon each time."""


class DialedLink(OutgoingLink):
    """A link over TCP; dials in a task of its own (``run``)."""

    def __init__(
        self,
        hello: LinkHello,
        address: str,
        pressure: Pressure,
        on_progress: Callable[[], None],
        dialer_count: int,
        secret: bytes,
        tls: Tls | None = None,
    ) -> None:
        super().__init__(hello, address, pressure, asyncio.Event, on_progress)
        self._pauses = DialPauses(dialer_count, random.random)
        self._secret = secret
        self._tls = tls
        self._breaks_s: deque[float] = deque(maxlen=BREAKS_MAX)
        self._awaited_since_s: float | None = None
        """When connecting started, at first or after a break; ``None`` before that."""
        self._awaited_logged_s = float("-inf")

    async def run(self) -> None:
        """Keep the link connected until cancelled."""
        await self.keep_connected(self._dial, asyncio.sleep, self._pauses)

    async def _dial(self) -> None:
        handler = _OutgoingHandler(self, self.hello)
        connection = FrameConnection(
            Side.DIALER, Purpose.DATA, self._secret, FRAME_BYTES_MAX, handler, self._tls
        )
        host, port = split_address(self.address)
        loop = asyncio.get_running_loop()
        if self._awaited_since_s is None:
            self._awaited_since_s = loop.time()
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                await loop.create_connection(lambda: connection, host, port)
        except (OSError, TimeoutError) as error:
            self._tell_awaited(str(error) or f"no answer within {DIAL_TIMEOUT_S:g} s")
            raise

    def connection_lost(self, reason: str) -> None:
        """A connection has ended, or never opened."""
        if not self.disconnected():
            self._tell_awaited(reason)
            return
        self._awaited_since_s = None
        if self.is_ending:
            return
        loop = asyncio.get_running_loop()
        self._breaks_s.append(loop.time())
        if len(self._breaks_s) == BREAKS_MAX and loop.time() - self._breaks_s[0] < BREAKS_WITHIN_S:
            self._breaks_s.clear()
            self._tell_lost(f"it broke {BREAKS_MAX} times: {reason}", self.connection_count)
        else:
            # Wait a moment: the other worker may be leaving, and its notice may be on the way.
            loop.call_later(TOLD_AFTER_S, self._tell_lost, reason, self.connection_count)

    def _tell_lost(self, reason: str, connection_count: int) -> None:
        if self.connection_count == connection_count and not self.is_ending:
            log.warning(
                "link.lost",
                peer=self.receiver,
                address=self.address,
                reason=reason,
                bytes_unsent=self.backlog_bytes,
                next="the worker reconnects; unsent data is kept for it",
            )

    def _tell_awaited(self, reason: str) -> None:
        """Log from time to time why the link is not connected: records or the start wait for it."""
        now_s = asyncio.get_running_loop().time()
        since_s = self._awaited_since_s
        if self.is_ending or since_s is None or now_s - since_s < AWAITED_S:
            return
        if now_s - self._awaited_logged_s < AWAITED_LOG_EVERY_S:
            return
        self._awaited_logged_s = now_s
        log.warning(
            "link.waiting",
            peer=self.receiver,
            address=self.address,
            for_s=round(now_s - since_s),
            reason=reason,
            hint="check that this host can reach that address; on the peer's host, --bind sets "
            "where it listens and --advertise the address that others dial",
            next="the worker keeps trying to connect",
        )


class _OutgoingHandler:
    """One connection of a link; what it says of itself stays, though the link may be renewed."""

    def __init__(self, link: DialedLink, hello: LinkHello) -> None:
        self._link = link
        self._hello = hello

    def opened(self, connection: FrameConnection) -> None:
        """Send the frame that names this link."""
        connection.write(encode_data_frame(self._hello))

    def received(self, connection: FrameConnection, frame: bytes) -> None:
        """Pass a frame to the link."""
        self._link.received(connection, self._hello, frame)

    def lost(self, connection: FrameConnection, reason: str) -> None:
        """Report the end to the link, which dials again."""
        self._link.connection_lost(reason)
