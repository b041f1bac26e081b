"""What one connection of a source has read, written down where that is asked for, and not taken.

At most one piece of the stream is here: no more is read until the engine has taken it.
"""

from collections.abc import Callable
from typing import Any, Protocol

from wallaroo.checkpoint.journaling import Journal
from wallaroo.codec.framers import Framer
from wallaroo.errors import StoreError
from wallaroo.ingest.read_budget import HoldReason, ReadBudget
from wallaroo.runtime.engine import Engine

JOURNAL_AGAIN_S = 1.0


class Connection(Protocol):
    """One sender."""

    def pause(self) -> None:
        """Read no more for now."""
        ...

    def batch_consumed(self) -> None:
        """Nothing of it waits any more: read on, or be gone."""
        ...

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        """Call back in a while."""
        ...

    def waits_for_journal(self, error: StoreError) -> None:
        """What was read could not be written down; that is tried again until it can."""
        ...


class Reading:
    """The payloads of one piece; what is unfinished at its end waits in the ``framer``."""

    def __init__(
        self,
        connection: Connection,
        pipeline: int,
        framer: Framer,
        engine: Engine,
        intake: ReadBudget,
        journal: Journal | None,
    ) -> None:
        self.framer = framer
        self.pipeline = pipeline
        self.delivered_ns = 0
        """When the payloads that wait were read; 0 where nobody asks."""
        self._connection = connection
        self._engine = engine
        self._intake = intake
        self._journal = journal
        self._payloads: list[bytes] = []
        self._position = 0
        self._pending_bytes = 0
        self._entry = 0
        """Offset of the payloads' entry in the journal."""
        self._is_written_down = False

    def receive_data(self, data: bytes) -> bool:
        """Cut the next piece into payloads, for the engine; say whether there are any."""
        assert not self.has_records, "the piece before is not taken yet"
        self._payloads = self.framer.receive_data(data)
        if not self._payloads:
            return False
        self._connection.pause()
        self._position = 0
        self._pending_bytes = len(data)
        self._intake.reserve(len(data))
        self._is_written_down = False
        self._write_down()
        return True

    def receive_eof(self) -> bool:
        """The sender has ended the stream in order; say whether that completed a last payload."""
        end = self.framer.end_at_eof if self.framer.buffered_bytes else b""
        return self.receive_data(end) if end else False

    def _write_down(self) -> None:
        """Hand payloads to the engine once they stand in the journal; try again until they do."""
        if self._journal is not None:
            try:
                self._entry = self._journal.append(
                    self.pipeline, len(self._payloads), self.framer.frames
                )
            except StoreError as error:
                self._connection.waits_for_journal(error)
                self._connection.call_later(JOURNAL_AGAIN_S, self._write_down_again)
                return
        self._is_written_down = True
        self._engine.source_ready(self)

    def _write_down_again(self) -> None:
        if self._intake.is_held_for(HoldReason.REPLAY):
            # A replay is under way; what comes behind it has to wait for its end.
            self._connection.call_later(JOURNAL_AGAIN_S, self._write_down_again)
        else:
            self._write_down()

    def rewind(self) -> None:
        """Forget payloads that stand in the journal: they come again by its replay."""
        if self.has_records and self._is_written_down:
            self.batch_consumed()

    def end(self) -> None:
        """The connection is gone, and nothing of it waits.

        Without this the two would know each other, and wait for the garbage collector.
        """
        del self._connection

    # For the engine

    @property
    def has_records(self) -> bool:
        """Whether payloads wait."""
        return self._position < len(self._payloads)

    def take(self, record_count_max: int) -> list[Any]:
        """Return the next payloads."""
        start = self._position
        self._position = min(start + record_count_max, len(self._payloads))
        if self._journal is not None:
            self._journal.mark_taken(self._entry, self._position - start)
        if start == 0 and self._position == len(self._payloads):
            return self._payloads
        return self._payloads[start : self._position]

    def batch_consumed(self) -> None:
        """Everything is processed, or to be given up."""
        self._payloads = []
        self._position = 0
        pending_bytes, self._pending_bytes = self._pending_bytes, 0
        self._intake.free(pending_bytes)
        self._connection.batch_consumed()
