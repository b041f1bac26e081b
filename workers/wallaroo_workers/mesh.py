"""A worker's links to and from all others, and the pressure they tell each other."""

from collections.abc import Callable

import structlog

from wallaroo.cluster.pressure import Pressure
from wallaroo.names import CheckpointId, EdgeId, Epoch, WorkerName
from wallaroo.wire.data_frames import LinkHello
from wallaroo_workers.network.incoming import LinkListener
from wallaroo_workers.network.outgoing import OutgoingLink

log = structlog.get_logger()


class Mesh:
    """One link in each direction for every other worker."""

    def __init__(self, me: WorkerName, incarnation: Epoch, secret: bytes) -> None:
        self._me = me
        self._incarnation = incarnation
        self._secret = secret
        self.listener = LinkListener(me, incarnation, secret)
        self.pressure = Pressure()
        self.outgoing: dict[WorkerName, OutgoingLink] = {}
        self.listener.is_under_pressure = lambda: self.pressure.is_under_pressure

    def follow(
        self,
        members: list[tuple[WorkerName, Epoch, str]],
        on_progress: Callable[[], None],
        start: Callable[[OutgoingLink], None],
    ) -> None:
        """Link to these members: new ones by ``start``, restarted ones anew."""
        for name, incarnation, address in members:
            if name == self._me:
                continue
            link = self.outgoing.get(name)
            if link is not None:
                link.retarget(incarnation, address)
                continue
            hello = LinkHello(self._me, self._incarnation, name, incarnation)
            link = self.outgoing[name] = OutgoingLink(hello, address, self._secret, self.pressure)
            link.on_progress = on_progress
            start(link)

    async def connected(self) -> None:
        """Wait until every link stands."""
        for link in list(self.outgoing.values()):
            await link.connected.wait()

    @property
    def backlog_bytes(self) -> int:
        """Bytes that other workers have not processed."""
        return sum(link.backlog_bytes for link in self.outgoing.values())

    def backlog_changed(self, backlog_bytes: int) -> None:
        """Tell the others where this worker's pressure begins or ends."""
        if self.pressure.backlog_changed(backlog_bytes):
            is_under_pressure = self.pressure.is_under_pressure
            log.debug("pressure.changed", is_under_pressure=is_under_pressure)
            for link in self.listener.links:
                link.tell_pressure(is_under_pressure=is_under_pressure)

    def acknowledge(self) -> None:
        """Tell every sender what is processed."""
        for link in self.listener.links:
            link.acknowledge()

    def send_barrier(self, epoch: Epoch, checkpoint: CheckpointId, edge: EdgeId) -> None:
        """Send a barrier to all others, behind all batches."""
        for link in self.outgoing.values():
            link.send_barrier(epoch, checkpoint, edge)

    def end(self) -> None:
        """Everything is through: links that go away now are no loss."""
        for link in self.outgoing.values():
            link.is_ending = True
