"""A worker's link to its initializer. It is dialed once: a worker does not outlive it."""

import asyncio
import contextlib
from collections.abc import Callable

from wallaroo.errors import WallarooError
from wallaroo.statuses import ExitStatus
from wallaroo.wire.control import (
    FRAME_BYTES_MAX,
    ControlFrame,
    decode_control_frame,
    encode_control_frame,
)
from wallaroo.wire.handshake import Purpose, Side
from wallaroo_workers.network.frames import FrameConnection
from wallaroo_workers.network.tls import Tls

DIAL_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 2.0
STATUS_INITIALIZER_LOST = ExitStatus.NO_CLUSTER
"""The status of a process that ended because its initializer is gone."""


class NotOneOfUsError(ConnectionRefusedError):
    """The listener has another secret or authority, or rejected our proof."""

    def __init__(self, refusal: WallarooError) -> None:
        super().__init__(refusal.what)
        self.refusal = refusal


class ControlLink:
    """Frames to and from the initializer."""

    def __init__(self, secret: bytes, tls: Tls | None = None) -> None:
        self._has_ended = asyncio.Event()
        self._opened: asyncio.Future[None]
        self._on_frame: Callable[[ControlFrame], None]
        self._on_lost: Callable[[str], None]
        self._connection = FrameConnection(
            Side.DIALER, Purpose.CONTROL, secret, FRAME_BYTES_MAX, self, tls
        )

    @property
    def local_host(self) -> str:
        """The address of this host that the link uses."""
        return self._connection.local_host

    @property
    def received_bytes(self) -> int:
        """How much has come over the link, whole frames or not."""
        return self._connection.received_bytes

    async def dial(
        self,
        host: str,
        port: int,
        on_frame: Callable[[ControlFrame], None],
        on_lost: Callable[[str], None],
    ) -> None:
        """Connect; return when both sides have proven the secret. Raises ``OSError``:
        ``NotOneOfUsError`` where dialing again would not help.

        ``on_lost`` is called for a link that stood; one that never did is an error.
        """
        loop = asyncio.get_running_loop()
        self._opened = loop.create_future()
        self._on_frame, self._on_lost = on_frame, on_lost
        try:
            async with asyncio.timeout(DIAL_TIMEOUT_S):
                await loop.create_connection(lambda: self._connection, host, port)
                await self._opened
        except (OSError, TimeoutError):
            self._connection.abort("the initializer does not answer")
            raise

    # For the connection

    def opened(self, connection: FrameConnection) -> None:
        """Both sides have proven the secret."""
        self._opened.set_result(None)

    def received(self, connection: FrameConnection, frame: bytes) -> None:
        """Pass a frame to the owner."""
        self._on_frame(decode_control_frame(frame))

    def lost(self, connection: FrameConnection, reason: str) -> None:
        """Report the end to the owner, or to ``dial`` if the link never opened."""
        self._has_ended.set()
        if not self._opened.done():
            refusal = connection.refusal
            self._opened.set_exception(
                ConnectionRefusedError(reason) if refusal is None else NotOneOfUsError(refusal)
            )
        elif not self._opened.cancelled():
            self._on_lost(reason)

    # For the owner

    def send(self, frame: ControlFrame) -> None:
        """Send a frame; nothing happens where the link is gone."""
        self._connection.write(encode_control_frame(frame))

    async def close(self) -> None:
        """End the link; return when everything is written, or the initializer takes no more."""
        self._connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._has_ended.wait()
