"""What one connection of a source has read and the engine has not processed.

With checkpoints on, payloads are appended to the journal before the engine gets them. At most one
piece of the stream is held here: the connection is read again when the engine has processed it.
"""

from collections.abc import Callable
from typing import Any, Protocol

from wallaroo.checkpoint.journal import EntryOrigin
from wallaroo.checkpoint.journaling import Journal
from wallaroo.codec.framers import Framer
from wallaroo.errors import StoreError
from wallaroo.ingest.read_budget import HoldReason, ReadBudget
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.engine_ports import Origin

JOURNAL_RETRY_S = 1.0


class Connection(Protocol):
    """The connection of one sender."""

    def pause(self) -> None:
        """Read no more for now."""
        ...

    def batch_consumed(self) -> None:
        """Read on, or close if the sender has ended: everything that was read is processed."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        """Call ``callback`` after a delay."""
        ...

    def waits_for_journal(self, error: StoreError) -> None:
        """Report that the journal could not be written. The reader retries until it can be."""
        ...


class WaitingRecords:
    """The records of one piece: first in the journal, then waiting for the engine."""

    def __init__(
        self,
        connection: Connection,
        pipeline: int,
        engine: Engine,
        intake: ReadBudget,
        journal: Journal | None,
    ) -> None:
        self.pipeline = pipeline
        self.delivered_ns = 0
        """When the waiting records were read; 0 if that is not measured."""
        self.channel = intake.new_channel()
        """The number of the connection, in journals and for clocks."""
        self._connection = connection
        self._engine = engine
        self._intake = intake
        self._journal = journal
        self._records: list[Any] = []
        self._frames = b""
        """The same records as the journal gets them."""
        self._position = 0
        self._pending_bytes = 0
        self._entry = 0
        """Offset of the records' entry in the journal."""
        self.is_journaled = False
        """Whether the journal has them, or none is kept."""

    def arrived(self, now_ns: int) -> None:
        """Note when the records arrived that are accepted next."""
        self.delivered_ns = now_ns

    def accept(self, records: list[Any], byte_count: int, frames: bytes) -> None:
        """Keep these records for the engine. Nothing may wait here, and there is at least one."""
        self._records = records
        self._connection.pause()
        self._position = 0
        self._pending_bytes = byte_count
        self._intake.reserve(byte_count)
        self._frames = frames
        self.is_journaled = False
        self._append_to_journal()

    def _append_to_journal(self) -> None:
        """Append the records to the journal, then pass them to the engine; retry on errors."""
        if self._journal is not None:
            origin = None
            timing = self._engine.timing
            if timing is not None and timing.journals_origins(self.pipeline):
                origin = EntryOrigin(self.channel, self.delivered_ns)
            try:
                self._entry = self._journal.append(
                    self.pipeline, len(self._records), self._frames, origin
                )
            except StoreError as error:
                self._connection.waits_for_journal(error)
                self._connection.call_later(JOURNAL_RETRY_S, self._retry_journal)
                return
        self._frames = b""
        self.is_journaled = True
        self._engine.source_ready(self)

    def _retry_journal(self) -> None:
        if self._intake.is_held_for(HoldReason.REPLAY):
            # A replay is under way, and these records belong behind it.
            self._connection.call_later(JOURNAL_RETRY_S, self._retry_journal)
        else:
            self._append_to_journal()

    def rewind(self) -> None:
        """Forget records that are in the journal, since its replay delivers them again."""
        if self.has_records and self.is_journaled:
            self.batch_consumed()

    def end(self) -> None:
        """Forget the connection, which has ended.

        Otherwise the two would refer to each other and wait for the garbage collector.
        """
        del self._connection
        if self._engine.timing is not None:
            self._engine.timing.closed(self.pipeline, self.channel)

    # For the engine

    @property
    def origin(self) -> Origin:
        """Where and when the next records were read."""
        return Origin(self.channel, self.delivered_ns)

    @property
    def has_records(self) -> bool:
        """Whether records wait."""
        return self._position < len(self._records)

    def take(self, record_count_max: int) -> list[Any]:
        """Return the next records."""
        start = self._position
        self._position = min(start + record_count_max, len(self._records))
        if self._journal is not None:
            self._journal.mark_taken(self._entry, self._position - start)
        if start == 0 and self._position == len(self._records):
            return self._records
        return self._records[start : self._position]

    def batch_consumed(self) -> None:
        """Free the budget and let the connection read on, since nothing waits any more."""
        self._records = []
        self._position = 0
        pending_bytes, self._pending_bytes = self._pending_bytes, 0
        self._intake.free(pending_bytes)
        self._connection.batch_consumed()


class Reading(WaitingRecords):
    """The payloads of one piece; an incomplete frame at its end waits in the ``framer``."""

    def __init__(
        self,
        connection: Connection,
        pipeline: int,
        framer: Framer,
        engine: Engine,
        intake: ReadBudget,
        journal: Journal | None,
    ) -> None:
        super().__init__(connection, pipeline, engine, intake, journal)
        self.framer = framer

    def receive_data(self, data: bytes) -> bool:
        """Cut the next piece into payloads for the engine; return whether it has any."""
        assert not self.has_records, "the last piece is not taken yet"
        payloads = self.framer.receive_data(data)
        if not payloads:
            return False
        frames = b"" if self._journal is None else self.framer.frames
        self.accept(payloads, len(data), frames)
        return True

    def receive_eof(self) -> bool:
        """Handle an orderly end of the stream; return whether it completed a last payload."""
        end = self.framer.end_at_eof if self.framer.buffered_bytes else b""
        return self.receive_data(end) if end else False
