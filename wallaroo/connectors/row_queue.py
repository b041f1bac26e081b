"""The rows that a sink of an author has not accepted, in their order."""

from collections import deque
from dataclasses import dataclass
from typing import Any

from wallaroo.connectors.holds import Holds
from wallaroo.connectors.row_sizes import estimated_bytes

BATCH_RECORDS_MAX = 10_000
BATCH_BYTES_MAX = 1 << 20
"""A batch ends with the row that makes it this long, or has so many rows."""


@dataclass(slots=True)
class _Chunk:
    """Rows that were added together, with the bytes that they count as."""

    rows: list[Any]
    byte_count: int


class RowQueue:
    """Rows in their order: the batch that is being written, then waiting and held ones."""

    def __init__(
        self, records_max: int = BATCH_RECORDS_MAX, bytes_max: int = BATCH_BYTES_MAX
    ) -> None:
        self._records_max = records_max
        self._bytes_max = bytes_max
        self._waiting: deque[_Chunk] = deque()
        self._holds: Holds[_Chunk] = Holds()
        self.batch: list[Any] = []
        """The rows that are being written, until ``written``."""
        self._batch_bytes = 0
        self.queued_bytes = 0
        """What the sink has not accepted, held rows included."""

    @property
    def has_waiting(self) -> bool:
        """Whether ``take`` would return rows."""
        return bool(self.batch or self._waiting)

    def append(self, rows: list[Any]) -> int:
        """Queue a copy of these rows; return how many bytes they count as."""
        # At least one for each row, so that none counts as written before it is.
        chunk = _Chunk(rows.copy(), max(estimated_bytes(rows), len(rows)))
        self.queued_bytes += chunk.byte_count
        if self._holds.is_holding:
            self._holds.add(chunk)
        else:
            self._waiting.append(chunk)
        return chunk.byte_count

    def hold(self, number: int) -> None:
        """Keep back rows that are appended from now on, until ``release(number)``."""
        self._holds.hold(number)

    def release(self, number: int) -> None:
        """Release the hold of this number, if there is one; earlier holds still block it."""
        self._waiting.extend(self._holds.release(number))

    def drop_held(self) -> None:
        """Forget what is held back: a replay makes it again, and older results come first then."""
        self.queued_bytes -= sum(chunk.byte_count for chunk in self._holds.drop())

    def take(self) -> list[Any]:
        """Return the next batch; the same one as before if that was not ``written``."""
        if not self.batch:
            while self._waiting and self._has_room():
                self._take_some(self._waiting[0])
        return self.batch

    def _has_room(self) -> bool:
        return len(self.batch) < self._records_max and self._batch_bytes < self._bytes_max

    def _take_some(self, chunk: _Chunk) -> None:
        mean_bytes = chunk.byte_count / len(chunk.rows)
        count = min(
            len(chunk.rows),
            self._records_max - len(self.batch),
            max(1, int((self._bytes_max - self._batch_bytes) / mean_bytes)),
        )
        if count == len(chunk.rows):
            self._waiting.popleft()
            self.batch += chunk.rows
            self._batch_bytes += chunk.byte_count
            return
        byte_count = int(count * mean_bytes)
        self.batch += chunk.rows[:count]
        self._batch_bytes += byte_count
        del chunk.rows[:count]
        chunk.byte_count -= byte_count

    def keep(self, rows: list[Any]) -> None:
        """Write only these rows of the batch from now on; the sink has refused the others."""
        self.batch = rows

    def written(self) -> None:
        """Forget the batch: the sink has it."""
        self.queued_bytes -= self._batch_bytes
        self.batch, self._batch_bytes = [], 0
