"""What a connector's reader gave and what went wrong in it, as values for the event loop.

A reader runs in a thread or in a task. Both keep a ``ReadState`` and put messages into the queue of
the loop. An exception never crosses: it becomes a message, too.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from wallaroo.connectors.source_classes import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, SourceError
from wallaroo.describing import error_text, writable
from wallaroo.errors import ClusterError, WallarooError
from wallaroo.ingest.split_batches import (
    Method,
    SplitBatch,
    bytes_of,
    check_follows,
    checked_batch,
    plain_position,
)
from wallaroo.operators.failures import user_line

POLL_S = 0.2
"""How long a reader may wait for records, so how long its thread may not hear of orders."""
DELAY_FIRST_S = 0.05
DELAY_LONGEST_S = 5.0
COLLECT_S = 0.002
"""For how long single records are collected into a batch."""
ASKED_AGAIN_S = 0.01
"""When a partition that had nothing is asked again."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A batch of a split."""

    split: str
    reading: int
    batch: SplitBatch


@dataclass(frozen=True, slots=True)
class Ended:
    """No batch follows in this split; ``problem`` says why, if it is not at its end."""

    split: str
    reading: int
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A method raised; it is called again after ``delay_s``."""

    method: str
    error: str
    at: str
    delay_s: float


@dataclass(frozen=True, slots=True)
class Resumed:
    """The reader has answered again after ``Waiting``."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The source cannot be read on, whatever is tried."""

    error: WallarooError


Message: TypeAlias = Arrived | Ended | Waiting | Resumed | Failed


class Pairs:
    """Single records with their positions, collected by a reader of ours."""

    __slots__ = ("byte_count", "positions", "records")

    def __init__(self) -> None:
        self.records: list[Any] = []
        self.positions: list[Any] = []
        self.byte_count = 0

    def add(self, record: Any, position: Any) -> None:
        """Add a record and the position after it."""
        self.records.append(record)
        self.positions.append(position)
        if isinstance(record, bytes | str):
            self.byte_count += len(record)

    @property
    def is_full(self) -> bool:
        """Whether a batch has no room for another record."""
        return len(self.records) >= BATCH_RECORDS_MAX or self.byte_count >= BATCH_BYTES_MAX


def is_pair(item: Any) -> bool:
    """Return whether ``read`` yielded a record with its position."""
    return type(item) is tuple and len(item) == 2


class Backoff:
    """The growing pause between two attempts."""

    def __init__(self) -> None:
        self._next_s = DELAY_FIRST_S

    def next_s(self) -> float:
        """Return how long to wait now; the next time it is twice as long."""
        delay_s, self._next_s = self._next_s, min(self._next_s * 2, DELAY_LONGEST_S)
        return delay_s

    def reset(self) -> None:
        """Wait for a short time again."""
        self._next_s = DELAY_FIRST_S


class ReadState:
    """The splits of one reader and where each is read on; used by its thread or task alone."""

    def __init__(self, pipeline: str, method: Method, function: Callable[..., Any]) -> None:
        self._pipeline = pipeline
        self._method = method
        """The author's method that gives batches, for errors."""
        self._function = function
        self._backoff = Backoff()
        self.retry_at_s = 0.0
        """Nothing is read before this time of the monotonic clock."""
        self._is_waiting = False
        """Whether nothing was read since an error."""
        self.places: dict[str, tuple[int, Any]] = {}
        """By split: the number of the reading, and the position behind what was given."""
        self._known: set[str] = set()
        """All splits that were ever added; of others a reader cannot give anything."""

    def add(self, split: str, reading: int, position: Any) -> None:
        """Read this split from now on."""
        self._known.add(split)
        self.places[split] = reading, position

    def message(self, split: str, given: Any) -> Message | None:
        """Return what a reader gave as a message; ``None`` stands for the end of a split.

        The result is ``None`` if the split is not read any more. Raises ``ClusterError`` if it
        breaks a rule.
        """
        place = self.places.get(split)
        if place is None:
            if split not in self._known:
                raise ClusterError(
                    f"{self._method} gave a batch of partition {split!r}, which its reader was not "
                    "given",
                    hint="give batches of the partitions alone that add was called with, by their "
                    "names in partitions()",
                )
            return None
        reading, position = place
        if given is None:
            del self.places[split]
            return Ended(split, reading)
        read_ns = time.time_ns()
        if isinstance(given, Pairs):
            batch = self._of_pairs(given, split, read_ns)
        else:
            batch = checked_batch(given, self._method, split, read_ns)
            check_follows(batch, position, self._method, split)
        if batch.records or batch.position is not None:
            position = batch.position
        self.places[split] = reading, position
        self._backoff.reset()
        return Arrived(split, reading, batch)

    def _of_pairs(self, pairs: Pairs, split: str, read_ns: int) -> SplitBatch:
        positions = [plain_position(each, self._method, split) for each in pairs.positions]
        return SplitBatch(
            pairs.records,
            positions[-1],
            positions=positions,
            byte_count=bytes_of(pairs.records),
            read_ns=read_ns,
        )

    def failed(self, error: BaseException) -> Message:
        """Return what this error means; after ``Waiting``, read again from ``retry_at_s`` on."""
        if isinstance(error, WallarooError):
            return Failed(error)
        if isinstance(error, SourceError):
            partition = error.partition
            if partition is None:
                return Failed(run_error(self._pipeline, error))
            if partition in self.places:
                reading, _ = self.places.pop(partition)
                hint = f"; {error.hint}" if error.hint else ""
                return Ended(partition, reading, writable(f"{error.what}{hint}"))
            if partition not in self._known:
                unknown = f"{error.what} (the partition {partition!r} of this error is unknown)"
                return Failed(run_error(self._pipeline, SourceError(unknown, error.hint)))
        self._is_waiting = True
        delay_s = self._backoff.next_s()
        self.retry_at_s = time.monotonic() + delay_s
        return waiting(str(self._method), self._function, error, delay_s)

    def answered(self) -> list[Message]:
        """Return what it means that the reader was asked and has raised nothing."""
        was_waiting, self._is_waiting = self._is_waiting, False
        return [Resumed()] if was_waiting else []


def run_error(pipeline: str, error: SourceError) -> ClusterError:
    """Return the error of a run that a connector has ended."""
    return ClusterError(
        writable(f"the source of pipeline {pipeline!r} cannot be read: {error.what}"),
        writable(error.hint or ""),
    )


def waiting(
    method: str, function: Callable[..., Any], error: BaseException, delay_s: float
) -> Waiting:
    """Return what a log says of a method that raised and is called again."""
    return Waiting(method, error_text(error), user_line(error, function), delay_s)
