"""The senders connected to one worker, and their way to other workers in a resize."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from wallaroo.checkpoint.store import Pause
from wallaroo.connectors.base import Assignment
from wallaroo.ingest.connection_handover import ConnectionCopy, collect, drop
from wallaroo.ingest.read_budget import HoldReason
from wallaroo.ingest.source_ports import SourcePorts

PROCESSED_POLL_S = 0.001


class ListeningSources:
    """All listening sources of one worker with their connections."""

    def __init__(self, ports: SourcePorts) -> None:
        self._ports = ports
        self._taken_over: list[ConnectionCopy] = []
        """Connections that belong to this worker now and are not read yet."""
        self._accepting: set[int] = set()
        """The pipelines whose senders are accepted."""
        self._here: Sequence[bool] = ()
        """By pipeline, whether this worker is the only one that runs the source."""

    def assign(self, here: Sequence[bool]) -> None:
        """Set which of the sources that only one worker runs are this worker's."""
        self._here = here

    async def listen(self, addresses: list[str]) -> None:
        """Accept senders, where this worker does not already. Raises ``OSError``."""
        for index, listener in self._ports.listeners.items():
            source = self._ports.plan.pipelines[index].source
            is_elsewhere = source.assignment is Assignment.ONE_WORKER and not self._here[index]
            if index not in self._accepting and not is_elsewhere:
                self._accepting.add(index)
                await listener.listen(addresses[index])

    async def close(self) -> None:
        """Take what senders had sent before this call, then close all connections."""
        self._accepting.clear()
        self._drop()
        await self._ports.all_of(listener.drain() for listener in self._ports.listeners.values())

    def rewind(self) -> None:
        """Forget what waits to be processed: it is in the journal, which will be replayed."""
        # Connections that were about to be handed over stay here.
        self.resume_reading()
        for listener in self._ports.listeners.values():
            listener.rewind()

    # Giving

    async def pause_reading(self, pause: Pause) -> None:
        """Stop accepting and reading; return when everything that was read is processed."""
        self._accepting.clear()
        self._ports.intake.hold(HoldReason.HAND_OVER)
        await self._ports.all_of(each.stop_accepting() for each in self._ports.listeners.values())
        while not self._ports.intake.is_empty:
            await pause(PROCESSED_POLL_S)

    def resume_reading(self) -> None:
        """Read on. To accept senders again, call ``listen``."""
        self._ports.intake.release(HoldReason.HAND_OVER)

    def copies(self) -> list[ConnectionCopy]:
        """Return copies of all connections, which must be paused. Raises ``OSError``."""
        return collect(self._copies())

    def _copies(self) -> Iterator[ConnectionCopy]:
        for each in self._taken_over:
            yield replace(each, stream=each.stream.dup())
        for listener in self._ports.listeners.values():
            yield from listener.copies()

    def detach(self) -> None:
        """Forget all connections, which belong to other workers now."""
        self._drop()
        for listener in self._ports.listeners.values():
            listener.detach()

    # Taking

    def take_over(self, copies: list[ConnectionCopy]) -> None:
        """Keep these connections for ``read_on``."""
        self._taken_over += copies

    def read_on(self) -> None:
        """Read what was taken over, now that no replay can deliver what the giver read of it."""
        taken_over, self._taken_over = self._taken_over, []
        for each in taken_over:
            self._ports.listeners[each.pipeline].take_over(each)

    def _drop(self) -> None:
        taken_over, self._taken_over = self._taken_over, []
        drop(taken_over)
