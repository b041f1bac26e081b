"""The senders connected to one worker, as a change of the members takes and brings them."""

from collections.abc import Iterator
from dataclasses import replace

from wallaroo.checkpoint.store import Pause
from wallaroo.ingest.connection_handover import Handed, collect, drop
from wallaroo.ingest.read_budget import HoldReason
from wallaroo.ingest.source_ports import SourcePorts

REST_LOOK_S = 0.001


class ListeningSources:
    """All listening sources of one worker with their connections."""

    def __init__(self, ports: SourcePorts) -> None:
        self._ports = ports
        self._taken_over: list[Handed] = []
        """Connections that are this worker's now, and not read on yet."""
        self.are_accepted = False

    async def listen(self, addresses: list[str]) -> None:
        """Accept senders, if that is not done already. Raises ``OSError``."""
        if not self.are_accepted:
            self.are_accepted = True
            for index, listener in self._ports.listeners.items():
                await listener.listen(addresses[index])

    async def close(self) -> None:
        """Take what senders had sent when this was called, and accept none."""
        self.are_accepted = False
        self._drop()
        await self._ports.all_of(listener.drain() for listener in self._ports.listeners.values())

    def rewind(self) -> None:
        """Give up what waits to be processed: it stands in the journal, which is replayed."""
        # Connections that were about to be handed over stay.
        self.resume_reading()
        for listener in self._ports.listeners.values():
            listener.rewind()

    # To others

    async def pause_reading(self, pause: Pause) -> None:
        """Accept and read nothing; return when everything that was read is processed."""
        self.are_accepted = False
        self._ports.intake.hold(HoldReason.HAND_OVER)
        await self._ports.all_of(each.stop_accepting() for each in self._ports.listeners.values())
        while not self._ports.intake.is_empty:
            await pause(REST_LOOK_S)

    def resume_reading(self) -> None:
        """Read on; ``listen`` makes the sources accept again."""
        self._ports.intake.release(HoldReason.HAND_OVER)

    def handed(self) -> list[Handed]:
        """Return copies of all connections, which nobody reads; raises ``OSError``."""
        return collect(self._copies())

    def _copies(self) -> Iterator[Handed]:
        for each in self._taken_over:
            yield replace(each, stream=each.stream.dup())
        for listener in self._ports.listeners.values():
            yield from listener.handed()

    def detach(self) -> None:
        """Forget all connections: they are others' now."""
        self._drop()
        for listener in self._ports.listeners.values():
            listener.detach()

    # From others

    def take_over(self, handed: list[Handed]) -> None:
        """Have ``read_on`` read these."""
        self._taken_over += handed

    def read_on(self) -> None:
        """Read what was taken over: nothing that another worker read of it can come again."""
        taken_over, self._taken_over = self._taken_over, []
        for each in taken_over:
            self._ports.listeners[each.pipeline].take_over(each)

    def _drop(self) -> None:
        taken_over, self._taken_over = self._taken_over, []
        drop(taken_over)
