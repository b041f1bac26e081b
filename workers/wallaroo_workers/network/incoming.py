"""The listening ends of the links from all other workers."""

import asyncio
from collections.abc import Callable

import structlog

from wallaroo.errors import ProtocolError
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.data_frames import (
    FRAME_BYTES_MAX,
    Ack,
    Barrier,
    BatchFrame,
    LinkHello,
    LinkWelcome,
    Pressure,
    decode_data_frame,
    encode_data_frame,
)
from wallaroo.wire.data_link import LinkReceiver
from wallaroo.wire.handshake import Purpose, Side
from wallaroo_workers.network.frames import FrameConnection, join_address

log = structlog.get_logger()


class IncomingLink:
    """Frames of one incarnation of another worker, over as many connections as it takes."""

    def __init__(self, worker: WorkerName, incarnation: Epoch) -> None:
        self.worker = worker
        self._receiver = LinkReceiver(incarnation)
        self._connection: FrameConnection | None = None

    @property
    def incarnation(self) -> Epoch:
        """The epoch at which the other process was started."""
        return self._receiver.incarnation

    def attach(self, connection: FrameConnection, *, is_under_pressure: bool) -> None:
        """Go on over this connection."""
        if self._connection is not None:
            self._connection.abort("the worker has dialed anew")
        self._connection = connection
        welcome = LinkWelcome(self._receiver.acknowledge(), is_under_pressure)
        connection.write(encode_data_frame(welcome))

    def detach(self, connection: FrameConnection) -> None:
        """The connection is gone."""
        if self._connection is connection:
            self._connection = None

    def receive(self, frame: BatchFrame | Barrier) -> bool:
        """Say whether the frame is new."""
        return self._receiver.receive(frame.sequence)

    def processed(self, frame: BatchFrame | Barrier) -> None:
        """Note that all of the frame is processed; the sender hears of it in time."""
        size = len(frame.body) if isinstance(frame, BatchFrame) else 0
        self._receiver.processed(frame.sequence, size)
        if self._receiver.is_ack_due:
            self.acknowledge()

    def acknowledge(self) -> None:
        """Tell the sender what is processed, if it does not know yet."""
        if self._connection is not None and self._receiver.owes_ack:
            self._connection.write(encode_data_frame(Ack(self._receiver.acknowledge())))

    def tell_pressure(self, *, is_under_pressure: bool) -> None:
        """Ask the sender's sources to pause, or let them go on."""
        if self._connection is not None:
            self._connection.write(encode_data_frame(Pressure(is_under_pressure)))


class LinkListener:
    """Accepts links; hands each new frame to ``on_frame``."""

    def __init__(self, me: WorkerName, incarnation: Epoch, secret: bytes) -> None:
        self._me = me
        self._incarnation = incarnation
        self._secret = secret
        self._links: dict[WorkerName, IncomingLink] = {}
        self._server: asyncio.Server | None = None
        self.is_under_pressure: Callable[[], bool] = lambda: False
        self.on_frame: Callable[[IncomingLink, BatchFrame | Barrier], None]

    @property
    def links(self) -> list[IncomingLink]:
        """Links from all workers that have dialed."""
        return list(self._links.values())

    async def listen(self, host: str) -> str:
        """Listen on a free port; return the address."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._accept, host, 0)
        return join_address(host, self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Accept no more."""
        if self._server is not None:
            self._server.close()

    def _accept(self) -> FrameConnection:
        connection = FrameConnection(Side.LISTENER, Purpose.DATA, self._secret, FRAME_BYTES_MAX)
        link: IncomingLink | None = None

        def received(data: bytes) -> None:
            nonlocal link
            frame = decode_data_frame(data)
            if link is None:
                link = self._greeted(connection, frame)
            elif isinstance(frame, BatchFrame | Barrier):
                if link.receive(frame):
                    self.on_frame(link, frame)
            else:
                raise ProtocolError(f"{type(frame).__name__} is not for the listening side")

        def lost(reason: str) -> None:
            if link is not None:
                link.detach(connection)
            else:
                log.warning("link.refused", peer=connection.peer, reason=reason)

        connection.on_frame = received
        connection.on_lost = lost
        return connection

    def _greeted(self, connection: FrameConnection, hello: object) -> IncomingLink:
        if not isinstance(hello, LinkHello):
            raise ProtocolError(f"a link begins with LinkHello, not {type(hello).__name__}")
        if (hello.receiver, hello.receiver_incarnation) != (self._me, self._incarnation):
            raise ProtocolError(
                f"{hello.sender} wants {hello.receiver} of epoch {hello.receiver_incarnation}, "
                f"this is {self._me} of epoch {self._incarnation}"
            )
        link = self._links.get(hello.sender)
        if link is not None and hello.sender_incarnation < link.incarnation:
            raise ProtocolError(f"{hello.sender} was replaced; this is the one given up for lost")
        if link is None or hello.sender_incarnation > link.incarnation:
            link = self._links[hello.sender] = IncomingLink(hello.sender, hello.sender_incarnation)
        link.attach(connection, is_under_pressure=self.is_under_pressure())
        return link
