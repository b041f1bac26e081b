"""One simulated sender's connection, as a worker reads it."""

from collections.abc import Callable
from typing import Protocol

from wallaroo.checkpoint.journaling import Journal
from wallaroo.connectors.tcp import TCPSource
from wallaroo.errors import StoreError
from wallaroo.ingest.connection_handover import Handed
from wallaroo.ingest.connection_reader import Reading
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.runtime.engine import Engine
from wallaroo.testing.connection_handover import Copy
from wallaroo.testing.journals import SimulatedJournal
from wallaroo.testing.loop import Process

FRAME_BYTES_MAX = 1 << 20


class Listener(Protocol):
    """What a connection has to know of where it was accepted."""

    pipeline: int
    source: TCPSource
    process: Process
    engine: Engine
    intake: ReadBudget
    journal: Journal
    writer: SimulatedJournal


class SourceConnection:
    """One sender's connection, as the worker has it."""

    def __init__(self, listener: Listener, copy: Copy, begin: bytes) -> None:
        self._listener = listener
        self._copy = copy
        self._line = copy.line
        self._line.reader = self
        framer = listener.source.framer(FRAME_BYTES_MAX)
        whole = framer.receive_data(begin)
        assert not whole, "what is whole is taken where it was read"
        self._reading = Reading(
            self, listener.pipeline, framer, listener.engine, listener.intake, listener.journal
        )
        self._is_paused = False
        self.is_closing = False
        """What is not read yet will not be."""

    def may_read(self) -> None:
        """The sender has sent something."""
        self._listener.process.run(self._read)

    def _read(self) -> None:
        kernel = self._line.kernel
        if self._is_paused or self.is_closing or not kernel:
            return
        data = b"".join(kernel)
        kernel.clear()
        self._writes_next()
        self._reading.receive_data(data)

    def _writes_next(self) -> None:
        """What the journal is given next is of this line."""
        self._listener.writer.next = self._line.coming

    def rewind(self) -> None:
        """Forget payloads that stand in the journal."""
        self._reading.rewind()

    @property
    def has_records(self) -> bool:
        """Whether payloads wait."""
        return self._reading.has_records

    def emptied(self) -> None:
        """Read on."""
        self.resume()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Call back in a while, to write down what could not be."""

        def again() -> None:
            self._writes_next()
            callback()

        self._listener.process.call_later(delay_s, again)

    def waits_for_journal(self, error: StoreError) -> None:
        """A fault was injected; nobody reads about it."""

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
        return Handed(self._listener.pipeline, self._reading.framer.rest, self._copy.dup())

    def close(self) -> None:
        """Hang up, or leave the line to who else has it."""
        self.is_closing = True
        self._listener.intake.remove(self)
        self._copy.close()
