"""A worker's links to and from all others, and the pressure that they report to each other."""

from collections.abc import Callable
from typing import Protocol

from wallaroo.links.back_pressure import Pressure
from wallaroo.links.incoming import IncomingLink, IncomingLinks
from wallaroo.links.outgoing import OutgoingLink
from wallaroo.names import CheckpointId, EdgeId, Epoch, WorkerName
from wallaroo.wire.data_frames import LinkHello, NumberedFrame


class Dialer(Protocol):
    """Connects a worker to others."""

    def dial(
        self,
        hello: LinkHello,
        address: str,
        pressure: Pressure,
        on_progress: Callable[[], None],
        dialer_count: int,
    ) -> OutgoingLink:
        """Return a link that is kept connected until its epoch ends.

        ``dialer_count`` workers dial the same one at about the same time.
        """
        ...


class MeshEvents(Protocol):
    """What the links report to their worker."""

    def frame_received(self, link: IncomingLink, frame: NumberedFrame) -> None:
        """A new frame of another worker has arrived."""
        ...

    def backlog_changed(self) -> None:
        """Another worker has processed something, or its pressure has changed."""
        ...


class Mesh:
    """One link in each direction for every other worker."""

    def __init__(
        self,
        me: WorkerName,
        incarnation: Epoch,
        dialer: Dialer,
        events: MeshEvents,
        pressure: Pressure,
    ) -> None:
        self._me = me
        self._incarnation = incarnation
        self._dialer = dialer
        self._events = events
        self.pressure = pressure
        self.outgoing: dict[WorkerName, OutgoingLink] = {}
        self.members: tuple[WorkerName, ...] = ()
        """The others that barriers go to."""
        self.incoming = IncomingLinks(
            me, incarnation, events.frame_received, lambda: self.pressure.is_under_pressure
        )

    def follow(self, members: list[tuple[WorkerName, Epoch, str]]) -> None:
        """Link to these members and to no others; link again to those that were restarted."""
        self._forget_all_but({name for name, _, _ in members})
        self.members = tuple(name for name, _, _ in members if name != self._me)
        self.link(members)

    def link(self, members: list[tuple[WorkerName, Epoch, str]]) -> None:
        """Link to these workers, which may become members later."""
        dialer_count = len({*self.outgoing, *(name for name, _, _ in members)} - {self._me})
        for name, incarnation, address in members:
            if name == self._me:
                continue
            link = self.outgoing.get(name)
            if link is not None:
                link.retarget(incarnation, address)
                continue
            hello = LinkHello(self._me, self._incarnation, name, incarnation)
            self.outgoing[name] = self._dialer.dial(
                hello, address, self.pressure, self._events.backlog_changed, dialer_count
            )

    def unlink(self) -> None:
        """Close the links to workers that were to become members."""
        self._forget_all_but({*self.members})

    def _forget_all_but(self, workers: set[WorkerName]) -> None:
        # Links from others stay known. A worker that left may dial again to resend frames, because
        # it does not know that they are processed.
        for name in [name for name in self.outgoing if name not in workers]:
            self.outgoing.pop(name).close()

    async def connected(self) -> None:
        """Wait until every link is connected."""
        for link in list(self.outgoing.values()):
            await link.connected.wait()

    @property
    def backlog_bytes(self) -> int:
        """Bytes that other workers have not processed."""
        return sum(link.backlog_bytes for link in self.outgoing.values())

    def backlog_changed(self, backlog_bytes: int, inbox_bytes: int = 0) -> None:
        """Report to the others if this worker's pressure begins or ends."""
        if self.pressure.backlog_changed(backlog_bytes, inbox_bytes):
            for link in self.incoming.all:
                link.send_pressure(is_under_pressure=self.pressure.is_under_pressure)

    def acknowledge(self) -> None:
        """Report to every sender what is processed."""
        for link in self.incoming.all:
            link.acknowledge()

    def send_barrier(self, epoch: Epoch, checkpoint: CheckpointId, edge: EdgeId) -> None:
        """Send a barrier to every other member, behind all batches."""
        for name in self.members:
            self.outgoing[name].send_barrier(epoch, checkpoint, edge)

    def close(self) -> None:
        """Close all links, since the epoch is over. Frames on their way are dropped."""
        self.end()
        for link in self.outgoing.values():
            link.close()
        self.incoming.close()

    def end(self) -> None:
        """Expect links to break from now on, since everything has been sent."""
        for link in self.outgoing.values():
            link.end()
