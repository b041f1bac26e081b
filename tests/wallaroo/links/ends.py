"""The ends of links between workers, and connections that only note what is written to them."""

from collections.abc import Callable
from typing import Any

from wallaroo.links.back_pressure import Pressure
from wallaroo.links.incoming import IncomingLink, IncomingLinks
from wallaroo.links.mesh import Mesh
from wallaroo.links.outgoing import OutgoingLink
from wallaroo.names import CheckpointId, EdgeId, Epoch, WorkerName
from wallaroo.operators.batches import BatchFormat
from wallaroo.operators.dataflow import OutgoingBatch
from wallaroo.testing.waiting import Flag
from wallaroo.wire.data_frames import (
    DataFrame,
    LinkHello,
    LinkWelcome,
    NumberedFrame,
    decode_data_frame,
    encode_data_frame,
)

ME, A, B = WorkerName("me"), WorkerName("a"), WorkerName("b")
E1, E2 = Epoch(1), Epoch(2)
EDGE = EdgeId(3)
CHECKPOINT = CheckpointId(7)


class NotedConnection:
    """A connection that carries nothing."""

    def __init__(self) -> None:
        self.frames: list[DataFrame] = []
        """What was written."""
        self.aborted = ""
        """Why it was broken off; empty if it was not."""

    def write(self, data: bytes) -> None:
        self.frames.append(decode_data_frame(data[4:]))

    def abort(self, reason: str) -> None:
        self.aborted = reason

    def taken(self) -> list[DataFrame]:
        """Return what was written since the last call."""
        taken, self.frames = self.frames, []
        return taken


def content_of(frame: DataFrame) -> bytes:
    """Return a frame as the other end gets it."""
    return encode_data_frame(frame)[4:]


def batch(body: bytes = b"records") -> OutgoingBatch:
    return OutgoingBatch(EDGE, B, BatchFormat.PAYLOADS, 2, body, 5)


def hello_to(receiver: WorkerName, incarnation: Epoch = E1) -> LinkHello:
    return LinkHello(ME, E1, receiver, incarnation)


def new_outgoing(
    pressure: Pressure | None = None, on_progress: Callable[[], None] = lambda: None
) -> OutgoingLink:
    """A link from ``me`` to ``b``."""
    return OutgoingLink(hello_to(B), "b:1", pressure or Pressure(), Flag, on_progress)


def connected(link: OutgoingLink, processed: int = 0, *, pressed: bool = False) -> NotedConnection:
    """Connect the link to a receiver that has processed so many frames."""
    connection = NotedConnection()
    link.received(connection, link.hello, content_of(LinkWelcome(processed, pressed)))
    return connection


def new_incoming(
    on_frame: Callable[[IncomingLink, NumberedFrame], None] = lambda *_: None,
    *,
    pressed: bool = False,
) -> IncomingLinks:
    """The links to ``me``, of the first epoch."""
    return IncomingLinks(ME, E1, on_frame, lambda: pressed)


def dialed(
    links: IncomingLinks, sender: WorkerName = A, incarnation: Epoch = E1
) -> tuple[IncomingLink, NotedConnection]:
    """Have another worker dial."""
    connection = NotedConnection()
    hello = LinkHello(sender, incarnation, ME, E1)
    return links.received(None, connection, content_of(hello)), connection


class Links:
    """A mesh of ``me``, and the links that it has dialed."""

    def __init__(self, pressure: Pressure | None = None) -> None:
        self.dialed: list[tuple[WorkerName, Epoch, str]] = []
        self.dialer_counts: list[int] = []
        self.progress_count = 0
        self.mesh = Mesh(ME, E1, self, self, pressure or Pressure())

    def dial(
        self,
        hello: LinkHello,
        address: str,
        pressure: Pressure,
        on_progress: Callable[[], None],
        dialer_count: int,
    ) -> OutgoingLink:
        self.dialed.append((hello.receiver, hello.receiver_incarnation, address))
        self.dialer_counts.append(dialer_count)
        return OutgoingLink(hello, address, pressure, Flag, on_progress)

    def frame_received(self, link: IncomingLink, frame: NumberedFrame) -> None:
        raise AssertionError("no test sends any")

    def backlog_changed(self) -> None:
        self.progress_count += 1

    def follow(self, *members: Any) -> None:
        self.mesh.follow([*members])
