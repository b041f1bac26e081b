"""A simulated sender's connection on the worker that reads it."""

from collections.abc import Callable
from typing import Protocol

from wallaroo.checkpoint.journaling import Journal
from wallaroo.connectors.payload_frames import PayloadFrames
from wallaroo.errors import StoreError
from wallaroo.ingest.connection_handover import ConnectionCopy
from wallaroo.ingest.connection_reader import Reading
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.runtime.engine import Engine
from wallaroo.testing.connection_handover import Copy
from wallaroo.testing.journals import SimulatedJournal
from wallaroo.testing.loop import Process

FRAME_BYTES_MAX = 1 << 20


class Listener(Protocol):
    """The part of a listening source that its connections use."""

    pipeline: int
    frames: PayloadFrames
    process: Process
    engine: Engine
    intake: ReadBudget
    journal: Journal
    writer: SimulatedJournal


class SourceConnection:
    """One sender's connection on a worker."""

    def __init__(self, listener: Listener, copy: Copy, partial_frame: bytes) -> None:
        self._listener = listener
        self._copy = copy
        self._line = copy.line
        self._line.read_by(self)
        framer = listener.frames.framer(FRAME_BYTES_MAX)
        whole = framer.receive_data(partial_frame)
        assert not whole, "what is whole is taken where it was read"
        self._reading = Reading(
            self, listener.pipeline, framer, listener.engine, listener.intake, listener.journal
        )
        self._is_paused = False
        self._is_closing = False
        """Whether nothing more is read."""

    def may_read(self) -> None:
        """Note that data has arrived."""
        self._listener.process.run(self._read)

    def _read(self) -> None:
        kernel = self._line.kernel
        if self._is_paused or self._is_closing or not kernel:
            return
        data = b"".join(kernel)
        kernel.clear()
        self._writes_next()
        self._reading.receive_data(data)

    def _writes_next(self) -> None:
        """Set this line as the origin of the next entry of the journal."""
        self._listener.writer.set_origin(*self._line.coming)

    def rewind(self) -> None:
        """Forget payloads, which are in the journal."""
        self._reading.rewind()

    @property
    def has_records(self) -> bool:
        """Whether payloads wait."""
        return self._reading.has_records

    def batch_consumed(self) -> None:
        """Resume reading."""
        self.resume()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> None:
        """Call back after a delay, to repeat a failed write to the journal."""

        def again() -> None:
            self._writes_next()
            callback()

        self._listener.process.call_later(delay_s, again)

    def waits_for_journal(self, error: StoreError) -> None:
        """Do nothing: the fault was injected."""

    def pause(self) -> None:
        """Pause reading."""
        self._is_paused = True

    def resume(self) -> None:
        """Resume reading, unless payloads wait here or all connections have too many."""
        if not (self.has_records or self._listener.intake.is_full):
            self._is_paused = False
            self._listener.process.call_later(0.0, self._read)

    def copy(self) -> ConnectionCopy:
        """Return a copy of the connection."""
        return ConnectionCopy(self._listener.pipeline, self._reading.framer.rest, self._copy.dup())

    def stop_reading(self) -> None:
        """Read nothing more."""
        self._is_closing = True

    def close(self) -> None:
        """Close this copy; the line stays open if another worker has a copy."""
        self.stop_reading()
        self._listener.intake.remove(self)
        self._copy.close()
