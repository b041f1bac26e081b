"""One simulated sender's connection, as a worker reads it."""

from typing import Any, Protocol

from wallaroo.checkpoint.journaling import Journal
from wallaroo.cluster.engine import Engine
from wallaroo.cluster.handing_over import Handed
from wallaroo.cluster.intake import Intake
from wallaroo.cluster.reading import Reading
from wallaroo.codec.framing import LengthFramer
from wallaroo.connectors.tcp import TCPSource
from wallaroo.errors import StoreError
from wallaroo.testing.disk import SimulatedJournal
from wallaroo.testing.handing_over import Copy
from wallaroo.testing.loop import Process

FRAME_BYTES_MAX = 1 << 20
JOURNAL_AGAIN_S = 0.1


class Listener(Protocol):
    """What a connection has to know of where it was accepted."""

    pipeline: int
    source: TCPSource
    process: Process
    engine: Engine
    intake: Intake
    journal: Journal
    writer: SimulatedJournal


class SourceConnection:
    """One sender's connection, as the worker has it."""

    def __init__(self, listener: Listener, copy: Copy, begin: bytes) -> None:
        self._listener = listener
        self._copy = copy
        self._line = copy.line
        self._line.reader = self
        source = listener.source
        framer = LengthFramer(source.header_length, source.payload_length, FRAME_BYTES_MAX)
        whole = framer.receive_data(begin)
        assert not whole, "what is whole is taken where it was read"
        self._reading = Reading(listener.pipeline, framer, listener.journal)
        self._is_paused = False
        self._pending_bytes = 0
        self.is_closing = False
        """What is not read yet will not be."""

    @property
    def pipeline(self) -> int:
        """The pipeline these payloads are for."""
        return self._listener.pipeline

    def may_read(self) -> None:
        """The sender has sent something."""
        self._listener.process.run(self._read)

    def _read(self) -> None:
        kernel = self._line.kernel
        if self._is_paused or self.is_closing or not kernel:
            return
        data = b"".join(kernel)
        kernel.clear()
        if self._reading.receive_data(data):
            self.pause()
            self._pending_bytes = len(data)
            self._listener.intake.took(len(data))
            self._write_down()

    def _write_down(self) -> None:
        self._listener.writer.next = self._line.coming
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

    def handed(self) -> Handed:
        """Return a copy of the connection."""
        return Handed(self.pipeline, self._reading.framer.rest, self._copy.dup())

    def close(self) -> None:
        """Hang up, or leave the line to who else has it."""
        self.is_closing = True
        self._listener.intake.remove(self)
        self._copy.close()
