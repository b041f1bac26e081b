"""The receiving ends of the links from all other workers, above their connections."""

from collections.abc import Callable

from wallaroo.errors import ProtocolError
from wallaroo.links.outgoing import Connection
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.data_frames import (
    Ack,
    LinkHello,
    LinkWelcome,
    NumberedFrame,
    decode_data_frame,
    encode_data_frame,
    payload_bytes,
)
from wallaroo.wire.data_frames import Pressure as PressureFrame
from wallaroo.wire.data_link import LinkReceiver


class IncomingLink:
    """The frames of one incarnation of another worker, over one connection after the other."""

    def __init__(self, worker: WorkerName, incarnation: Epoch) -> None:
        self.worker = worker
        self._receiver = LinkReceiver(incarnation)
        self._connection: Connection | None = None

    @property
    def incarnation(self) -> Epoch:
        """The epoch at which the other process was started, or joined again."""
        return self._receiver.incarnation

    def attach(self, connection: Connection, *, is_under_pressure: bool) -> None:
        """Use this connection from now on."""
        if self._connection is not None:
            self._connection.abort("the worker has reconnected")
        self._connection = connection
        welcome = LinkWelcome(self._receiver.acknowledge(), is_under_pressure)
        connection.write(encode_data_frame(welcome))

    def detach(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        if self._connection is connection:
            self._connection = None

    def close(self) -> None:
        """Break the connection, since the epoch is over."""
        if self._connection is not None:
            self._connection.abort("the epoch is over")

    def receive(self, frame: NumberedFrame) -> bool:
        """Return whether the frame is new."""
        return self._receiver.receive(frame.sequence)

    def processed(self, frame: NumberedFrame) -> None:
        """Note that all of the frame is processed; acknowledge it if that is due."""
        self._receiver.processed(frame.sequence, payload_bytes(frame))
        if self._receiver.is_ack_due:
            self.acknowledge()

    def acknowledge(self) -> None:
        """Report to the sender what is processed, if that has changed."""
        if self._connection is not None and self._receiver.owes_ack:
            self._connection.write(encode_data_frame(Ack(self._receiver.acknowledge())))

    def send_pressure(self, *, is_under_pressure: bool) -> None:
        """Ask the sender's sources to pause, or let them go on."""
        if self._connection is not None:
            self._connection.write(encode_data_frame(PressureFrame(is_under_pressure)))


class IncomingLinks:
    """The links from all other workers, during one incarnation of this one."""

    def __init__(
        self,
        me: WorkerName,
        incarnation: Epoch,
        on_frame: Callable[[IncomingLink, NumberedFrame], None],
        is_under_pressure: Callable[[], bool],
    ) -> None:
        self._me = me
        self._incarnation = incarnation
        self._links: dict[WorkerName, IncomingLink] = {}
        self._on_frame = on_frame
        self._is_under_pressure = is_under_pressure
        self._is_closed = False

    @property
    def all(self) -> list[IncomingLink]:
        """Links from all workers that have dialed."""
        return list(self._links.values())

    def close(self) -> None:
        """Break all connections, since the epoch is over."""
        self._is_closed = True
        for link in self._links.values():
            link.close()

    def received(
        self, link: IncomingLink | None, connection: Connection, data: bytes
    ) -> IncomingLink:
        """Handle a frame of a ``connection``; return its link.

        ``link`` is ``None`` before the first frame. Raises ``ProtocolError`` if the connection has
        to be closed.
        """
        frame = decode_data_frame(data)
        if link is None:
            return self._greeted(connection, frame)
        if not isinstance(frame, NumberedFrame):
            raise ProtocolError(
                f"the listening side of a link must not receive {type(frame).__name__}"
            )
        if not self._is_closed and link.receive(frame):
            self._on_frame(link, frame)
        return link

    def _greeted(self, connection: Connection, hello: object) -> IncomingLink:
        if not isinstance(hello, LinkHello):
            raise ProtocolError(f"a link starts with LinkHello, not {type(hello).__name__}")
        if self._is_closed or (hello.receiver, hello.receiver_incarnation) != (
            self._me,
            self._incarnation,
        ):
            raise ProtocolError(
                f"{hello.sender} wants {hello.receiver} of epoch {hello.receiver_incarnation}, "
                f"this is {self._me} of epoch {self._incarnation}"
            )
        link = self._links.get(hello.sender)
        if link is not None and hello.sender_incarnation < link.incarnation:
            raise ProtocolError(f"{hello.sender} was replaced; this is the old process")
        if link is None or hello.sender_incarnation > link.incarnation:
            link = self._links[hello.sender] = IncomingLink(hello.sender, hello.sender_incarnation)
        link.attach(connection, is_under_pressure=self._is_under_pressure())
        return link
