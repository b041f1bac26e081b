"""The listening sources of a simulated worker."""

from wallaroo.checkpoint.journaling import Journal
from wallaroo.connectors.base import Source
from wallaroo.ingest.connection_handover import ConnectionCopy
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.runtime.engine import Engine
from wallaroo.testing.connection_handover import Copy, Line
from wallaroo.testing.connections import SourceConnection
from wallaroo.testing.journals import SimulatedJournal
from wallaroo.testing.loop import Process
from wallaroo.testing.senders import SendersHall

SEND_EVERY_S = 0.06


class Listener:
    """One pipeline's listening source on one worker."""

    end = None

    def __init__(
        self,
        pipeline: int,
        source: Source,
        process: Process,
        engine: Engine,
        intake: ReadBudget,
        hall: SendersHall,
        journal: tuple[Journal, SimulatedJournal],
    ) -> None:
        self.pipeline = pipeline
        assert source.frames is not None
        self.frames = source.frames
        self.process = process
        self.engine = engine
        self.intake = intake
        self.journal, self.writer = journal
        self._hall = hall
        self._is_listening = False
        self.connections: list[SourceConnection] = []
        process.on_end.append(self._close_all)

    @property
    def is_listening(self) -> bool:
        """Whether a sender can connect."""
        return self._is_listening and self.process.is_alive

    @property
    def connection_count(self) -> int:
        """Senders that are connected."""
        return len(self.connections)

    async def listen(self, address: str) -> None:
        """Accept senders from now on."""
        self._is_listening = True
        self._hall.listen(self)

    def accept(self, line: Line) -> None:
        """Accept a sender's connection."""
        self._open(Copy(line, self.process), b"")

    def _open(self, copy: Copy, partial_frame: bytes) -> None:
        connection = SourceConnection(self, copy, partial_frame)
        self.connections.append(connection)
        self.intake.add(connection)
        connection.may_read()

    def rewind(self) -> None:
        """Forget what waits to be processed; it is in the journal, which is replayed."""
        for connection in self.connections:
            connection.rewind()

    async def drain(self) -> None:
        """Wait until everything that was read is processed, then close all connections."""
        self._is_listening = False
        for connection in self.connections:
            connection.stop_reading()
        while any(connection.has_records for connection in self.connections):
            await self.process.pause(SEND_EVERY_S)
        self._close_all()

    async def stop_accepting(self) -> None:
        """Accept no connections until ``listen``."""
        self._is_listening = False

    def copies(self) -> list[ConnectionCopy]:
        """Return copies of all connections."""
        return [each.copy() for each in self.connections]

    def detach(self) -> None:
        """Forget all connections."""
        self._close_all()

    def take_over(self, copy: ConnectionCopy) -> None:
        """Continue a connection where another worker has stopped reading."""
        self._hall.connections_moved()
        assert isinstance(copy.stream, Copy)
        self._open(copy.stream, copy.partial_frame)

    def _close_all(self) -> None:
        self._is_listening = False
        connections, self.connections = self.connections, []
        for connection in connections:
            connection.close()
