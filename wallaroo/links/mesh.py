"""A worker's links to and from all others, and the pressure they tell each other."""

from collections.abc import Callable

from wallaroo.links.back_pressure import Pressure
from wallaroo.links.incoming import IncomingLink, IncomingLinks
from wallaroo.links.outgoing import OutgoingLink
from wallaroo.names import CheckpointId, EdgeId, Epoch, WorkerName
from wallaroo.wire.data_frames import LinkHello, NumberedFrame


class Mesh:
    """One link in each direction for every other worker.

    ``dial`` makes a link and keeps it connected.
    """

    def __init__(
        self,
        me: WorkerName,
        incarnation: Epoch,
        dial: Callable[[LinkHello, str, Pressure], OutgoingLink],
        on_frame: Callable[[IncomingLink, NumberedFrame], None],
        pressure: Pressure,
    ) -> None:
        self._me = me
        self._incarnation = incarnation
        self._dial = dial
        self.pressure = pressure
        self.outgoing: dict[WorkerName, OutgoingLink] = {}
        self.members: tuple[WorkerName, ...] = ()
        """The others that barriers go to."""
        self.incoming = IncomingLinks(
            me, incarnation, on_frame, lambda: self.pressure.is_under_pressure
        )

    def follow(
        self, members: list[tuple[WorkerName, Epoch, str]], on_progress: Callable[[], None]
    ) -> None:
        """Link to these members: new ones by ``dial``, restarted ones anew; to no others."""
        self._forget_all_but({name for name, _, _ in members})
        self.members = tuple(name for name, _, _ in members if name != self._me)
        self.link(members, on_progress)

    def link(
        self, members: list[tuple[WorkerName, Epoch, str]], on_progress: Callable[[], None]
    ) -> None:
        """Link to these workers, though they may be no members yet."""
        for name, incarnation, address in members:
            if name == self._me:
                continue
            link = self.outgoing.get(name)
            if link is not None:
                link.retarget(incarnation, address)
                continue
            hello = LinkHello(self._me, self._incarnation, name, incarnation)
            link = self.outgoing[name] = self._dial(hello, address, self.pressure)
            link.on_progress = on_progress

    def unlink(self) -> None:
        """Have no links but to members: the others will be none."""
        self._forget_all_but({*self.members})

    def _forget_all_but(self, workers: set[WorkerName]) -> None:
        # Links from others stay known: one that left may dial once more, with frames that are
        # processed and that it does not know to be.
        for name in [name for name in self.outgoing if name not in workers]:
            self.outgoing.pop(name).close()

    async def connected(self) -> None:
        """Wait until every link stands."""
        for link in list(self.outgoing.values()):
            await link.connected.wait()

    @property
    def backlog_bytes(self) -> int:
        """Bytes that other workers have not processed."""
        return sum(link.backlog_bytes for link in self.outgoing.values())

    def backlog_changed(self, backlog_bytes: int, inbox_bytes: int = 0) -> None:
        """Tell the others where this worker's pressure begins or ends."""
        if self.pressure.backlog_changed(backlog_bytes, inbox_bytes):
            for link in self.incoming.all:
                link.tell_pressure(is_under_pressure=self.pressure.is_under_pressure)

    def acknowledge(self) -> None:
        """Tell every sender what is processed."""
        for link in self.incoming.all:
            link.acknowledge()

    def send_barrier(self, epoch: Epoch, checkpoint: CheckpointId, edge: EdgeId) -> None:
        """Send a barrier to all other members, behind all batches."""
        for name in self.members:
            self.outgoing[name].send_barrier(epoch, checkpoint, edge)

    def close(self) -> None:
        """The epoch is over: nothing that is on its way counts any more."""
        self.end()
        for link in self.outgoing.values():
            link.close()
        self.incoming.close()

    def end(self) -> None:
        """Everything is through: links that go away now are no loss."""
        for link in self.outgoing.values():
            link.is_ending = True
