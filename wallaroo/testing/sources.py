"""The sources of a simulated worker: senders over TCP, files and generators."""

from collections.abc import Callable
from typing import Any

from wallaroo.checkpoint.journaling import Journal
from wallaroo.cluster.engine import Engine
from wallaroo.cluster.intake import Intake
from wallaroo.cluster.reading import Reading
from wallaroo.codec.framing import LengthFramer
from wallaroo.connectors.tcp import TCPSource
from wallaroo.errors import StoreError
from wallaroo.testing.disk import SimulatedJournal
from wallaroo.testing.loop import Process
from wallaroo.testing.senders import Sender, SendersHall

FRAME_BYTES_MAX = 1 << 20
JOURNAL_AGAIN_S = 0.1
PIECE_BYTES_MAX = 40
KERNEL_BYTES_MAX = 300
SEND_EVERY_S = 0.06
CONNECT_AFTER_S = 0.05


class Listener:
    """One pipeline's listening source on one worker."""

    def __init__(
        self,
        pipeline: int,
        source: TCPSource,
        process: Process,
        engine: Engine,
        intake: Intake,
        hall: SendersHall,
        journal: tuple[Journal, SimulatedJournal],
    ) -> None:
        self.pipeline = pipeline
        self.source = source
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

    def accept(self, sender: Sender, number: int, records: list[int]) -> "SourceConnection":
        """Return a new connection of this sender, over which these records will come."""
        connection = SourceConnection(self, (sender.number, number, records))
        self.connections.append(connection)
        self.intake.add(connection)
        return connection

    def rewind(self) -> None:
        """Forget what waits to be processed: it stands in the journal, which is replayed."""
        for connection in self.connections:
            connection.rewind()

    async def drain(self) -> None:
        """Take what is being processed, then close everything."""
        self._is_listening = False
        for connection in self.connections:
            connection.is_closing = True
        while any(connection.has_records for connection in self.connections):
            await self.process.pause(SEND_EVERY_S)
        self._close_all()

    def _close_all(self) -> None:
        self._is_listening = False
        connections, self.connections = self.connections, []
        for connection in connections:
            connection.close()


class SourceConnection:
    """One sender's connection, as the worker has it."""

    def __init__(self, listener: Listener, coming: tuple[int, int, list[int]]) -> None:
        self._listener = listener
        self._coming = coming
        source = listener.source
        framer = LengthFramer(source.header_length, source.payload_length, FRAME_BYTES_MAX)
        self._reading = Reading(listener.pipeline, framer, listener.journal)
        self._is_paused = False
        self._pending_bytes = 0
        self.kernel: list[bytes] = []
        """Sent, and not read yet; lost when the connection closes."""
        self.is_open = True
        self.is_closing = False
        """What is not read yet will not be."""
        self.on_closed: Callable[[], None] = lambda: None

    @property
    def kernel_bytes(self) -> int:
        """Bytes that are sent and not read."""
        return sum(map(len, self.kernel))

    @property
    def pipeline(self) -> int:
        """The pipeline these payloads are for."""
        return self._listener.pipeline

    def arrives(self, data: bytes) -> None:
        """The sender has sent something."""
        self.kernel.append(data)
        self._listener.process.run(self._read)

    def _read(self) -> None:
        if self._is_paused or self.is_closing or not self.kernel or not self.is_open:
            return
        data = b"".join(self.kernel)
        self.kernel.clear()
        if self._reading.receive_data(data):
            self.pause()
            self._pending_bytes = len(data)
            self._listener.intake.took(len(data))
            self._write_down()

    def _write_down(self) -> None:
        self._listener.writer.next = self._coming
        try:
            self._reading.write_down()
        except StoreError:
            self._listener.process.call_later(JOURNAL_AGAIN_S, self._write_down_again)
            return
        self._listener.engine.source_ready(self)

    def _write_down_again(self) -> None:
        if self._listener.intake.is_shut:
            self._listener.process.call_later(JOURNAL_AGAIN_S, self._write_down_again)
        else:
            self._write_down()

    def rewind(self) -> None:
        """Forget payloads that stand in the journal."""
        if self._reading.will_come_again:
            self._forget()

    delivered_ns = 0
    """Nobody looks at latencies here."""

    @property
    def has_records(self) -> bool:
        """Whether payloads wait."""
        return self._reading.has_records

    def take(self, record_count_max: int) -> list[Any]:
        """Return the next payloads."""
        return self._reading.take(record_count_max)

    def emptied(self) -> None:
        """Read on."""
        self._forget()
        self.resume()

    def _forget(self) -> None:
        self._reading.forget()
        pending_bytes, self._pending_bytes = self._pending_bytes, 0
        self._listener.intake.gave(pending_bytes)

    def pause(self) -> None:
        """Read no more for now."""
        self._is_paused = True

    def resume(self) -> None:
        """Read on, unless payloads wait here or all connections together have too many."""
        if not (self.has_records or self._listener.intake.is_full):
            self._is_paused = False
            self._listener.process.call_later(0.0, self._read)

    def close(self) -> None:
        """Hang up."""
        if self.is_open:
            self.is_open = False
            self._listener.intake.remove(self)
            self.on_closed()
