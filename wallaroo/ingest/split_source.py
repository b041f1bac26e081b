"""The splits that one worker reads for one pipeline, as the engine takes their records.

A split is what a source has positions in: a partition, a shard, an object. Batches of all splits
wait in one queue, in the order in which they arrived. The position of a split follows what the
engine has taken, and not what was read, so it is exact at any record and costs nothing for each of
them.

**What can go wrong**

* *A batch arrives for a split that was removed, or removed and added again.* It was read before
  that and is of no use. Each ``add`` gives the split a new number, its *reading*, and a batch names
  the reading to which it belongs.
* *A batch is cut in two by a checkpoint.* Its base and the number of taken records are the
  position. After a restart the first records from the base on are skipped, even if the connector
  now cuts its batches in other places.
* *One split is read long before another.* With event time its watermark would make the records of
  the other late. So clocks expect each split as soon as it is added, until it has a record, or the
  connector says that it has none yet.
* *A split is removed while the engine is about to take from it.* Then ``take`` returns nothing and
  ``batch_consumed`` goes on with the next batch.
"""

import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Protocol

from wallaroo.checkpoint.split_positions import (
    INITIAL,
    NEW,
    SplitKind,
    SplitPosition,
    end_of,
    unasked,
)
from wallaroo.connectors.keyed_records import KeyedRecords
from wallaroo.ingest.split_batches import SplitBatch, offset_of
from wallaroo.ingest.split_lags import SplitLags
from wallaroo.runtime.engine_ports import Origin


class SplitClocks(Protocol):
    """What clocks have to know of splits."""

    def expect(self, pipeline: int, channel: str, /) -> None:
        """Wait for the first record of a split."""
        ...

    def expect_no_longer(self, pipeline: int, channel: str, /) -> None:
        """Note that a split has no record yet."""
        ...


class ReadyEngine(Protocol):
    """The part of the engine that is needed here."""

    @property
    def timing(self) -> SplitClocks | None:
        """Its clocks; ``None`` if time changes no state."""
        ...

    def source_ready(self, source: Any, /) -> None:
        """Queue a source that has records and is not queued yet."""
        ...


class SplitEvents(Protocol):
    """What the queue reports to its runner."""

    def batch_left(self, batch: SplitBatch, /) -> None:
        """A batch that had arrived is processed or dropped: there is room for another one."""
        ...

    def split_ended(self, split: str, /) -> None:
        """All records of this split are processed, and none will follow."""
        ...


class Split:
    """One split and where it is."""

    __slots__ = ("_earlier", "_known", "_lags", "base", "behind_since_s", "end", "held",
                 "held_since_s", "is_caught_up", "kind", "name", "problem", "reading",
                 "skip_count", "time")  # fmt: skip

    def __init__(
        self, name: str, reading: int, position: SplitPosition, lags: "SplitLags[Split]"
    ) -> None:
        """``lags`` has to know of each change."""
        self._lags = lags
        self.name = name
        self.reading = reading
        self.kind = position.kind
        self._earlier = position
        """Where an earlier run was, while it is not known where this one goes on."""
        self.problem = ""
        """Why it ended early, if it did."""
        self.base: Any = None
        """A position that the connector gave; ``None`` is the beginning."""
        self.skip_count = 0
        """Records behind ``base`` that are taken already."""
        match (where := unasked(position)).kind:
            case SplitKind.AT:
                self.base, self.skip_count = where.position
            case SplitKind.ENDED:
                self.problem, self.base = end_of(where.position)
        self._known: SplitPosition | None = None
        """The position that was asked for last, until it changes: most splits are idle."""
        self.is_caught_up = False
        self.end: int | None = None
        """Where the split ends, as the connector said last."""
        self.behind_since_s: float | None = None
        """Since when there are records behind the last one that the connector could read."""
        self.held = ""
        """Why the connector cannot read records that are there."""
        self.held_since_s: float | None = None
        self.time: float | None = None
        """The time of the last record that was taken, if records have times."""
        lags.changed(self)

    @property
    def lag(self) -> int | None:
        """How much is still to be read, in the unit of its offsets."""
        offset = offset_of(self.base)
        return None if self.end is None or offset is None else max(0, self.end - offset)

    @property
    def position(self) -> SplitPosition:
        """Where it is, without the batch from which records are being taken."""
        if self._known is not None:
            return self._known
        match self.kind:
            case SplitKind.AT:
                known = SplitPosition(SplitKind.AT, [self.base, self.skip_count])
            case SplitKind.ENDED:
                known = SplitPosition(SplitKind.ENDED, [self.problem, self.base])
            case SplitKind.EARLIER:
                known = self._earlier
            case SplitKind.INITIAL:
                known = INITIAL
            case SplitKind.NEW:
                known = NEW
        self._known = known
        return known

    def move(self, base: Any, skip_count: int) -> None:
        """Note that records up to here are taken."""
        self.kind, self.base, self.skip_count = SplitKind.AT, base, skip_count
        self._known = None
        self._lags.changed(self)

    def start(self, base: Any) -> None:
        """Note where this run starts; with ``None`` it goes on exactly where an earlier one was."""
        if base is None and self.kind is SplitKind.EARLIER:
            self.kind = unasked(self._earlier).kind
            self._known = None
            self._lags.changed(self)
        else:
            self.move(base, self.skip_count)

    def take_up(self, batch: SplitBatch) -> int:
        """Return how many records of a batch that is next are taken already."""
        skip_count = min(self.skip_count, len(batch.records))
        self.skip_count -= skip_count
        self._known = None
        self.is_caught_up = False
        self.behind_since_s = None
        return skip_count

    def finish(self, batch: SplitBatch) -> None:
        """Note that all of a batch is taken."""
        if batch.records or batch.position is not None:
            self.move(batch.position, self.skip_count)
        self.is_caught_up = batch.is_caught_up
        if batch.times:
            last = batch.times[-1]
            self.time = None if math.isnan(last) else last

    def break_off(self, problem: str) -> None:
        """Note why no batch follows."""
        self.problem = problem
        self._lags.changed(self)

    def finish_all(self) -> None:
        """Note that all records are taken, and that none will follow."""
        self.kind = SplitKind.ENDED
        self._known = None

    def ends_at(self, end: int | None, held: str, now_s: float) -> None:
        """Note where the connector says that the split ends now, and what holds records back."""
        if (end, held) != (self.end, self.held):
            self._lags.changed(self)
        self.end = end
        is_behind = self.is_caught_up and self.lag
        self.behind_since_s = (self.behind_since_s or now_s) if is_behind else None
        self.held_since_s = (self.held_since_s or now_s) if held else None
        self.held = held

    def age_s(self, now_s: float) -> float | None:
        """Return how old the records are that are still to be read; ``None`` if nobody knows."""
        if self.kind is SplitKind.ENDED:
            return 0.0
        if self.held and self.end is None:
            return None
        if self.is_caught_up:
            return 0.0 if self.behind_since_s is None else now_s - self.behind_since_s
        return None if self.time is None else max(0.0, now_s - self.time)


class WorkerSplits:
    """All splits of one worker for one pipeline; the engine takes records from it."""

    def __init__(
        self,
        pipeline: int,
        engine: ReadyEngine,
        events: SplitEvents,
        *,
        gives_times: bool = False,
    ) -> None:
        """With ``gives_times`` the time of a record is the one that its batch has."""
        self._pipeline = pipeline
        self._gives_times = gives_times
        self._engine = engine
        self._events = events
        self._splits: dict[str, Split] = {}
        self.lags: SplitLags[Split] = SplitLags()
        self._queue: deque[tuple[Split, int, SplitBatch | None]] = deque()
        """Split, reading, and batch; ``None`` stands for the end of the split."""
        self._split: Split | None = None
        """The split of the batch from which the engine takes."""
        self._batch: SplitBatch | None = None
        self._taken_count = 0
        self._reading_count = 0
        self._is_queued = False
        """From ``source_ready`` until the engine calls ``batch_consumed``."""

    @property
    def pipeline(self) -> int:
        """The index of the pipeline that processes these records."""
        return self._pipeline

    @property
    def all(self) -> Mapping[str, Split]:
        """All splits of this worker by name."""
        return self._splits

    @property
    def queued_count(self) -> int:
        """How many batches wait, with the one from which records are being taken."""
        return len(self._queue) + (self._batch is not None)

    # Splits

    def add(self, name: str, position: SplitPosition) -> Split:
        """Add a split, which is at a position that ``positions`` returned for it."""
        assert name not in self._splits, f"split {name!r} is here already"
        self._reading_count += 1
        split = self._splits[name] = Split(name, self._reading_count, position, self.lags)
        if self._engine.timing is not None and split.kind is not SplitKind.ENDED:
            self._engine.timing.expect(self._pipeline, name)
        return split

    def started(self, name: str, base: Any) -> None:
        """Note where this run starts to read a split that was ``INITIAL`` or ``EARLIER``."""
        split = self._splits[name]
        split.start(base)
        if split.kind is SplitKind.ENDED:
            self._expect_no_longer(name)

    def remove(self, name: str) -> SplitPosition:
        """Drop a split and its batches; return its position."""
        position = self.position(name)
        split = self._splits.pop(name)
        self.lags.removed(split)
        if self._split is split:
            self._drop_current()
        waiting = [entry for entry in self._queue if entry[0] is split]
        self._queue = deque(entry for entry in self._queue if entry[0] is not split)
        for _, _, batch in waiting:
            self._left(batch)
        return position

    def stop(self) -> None:
        """Drop all batches and return no more records; ``positions`` stays as it is."""
        split, batch = self._split, self._batch
        if split is not None and batch is not None and self._taken_count:
            split.move(*batch.position_after(self._taken_count, split.base))
        self._drop_current()
        waiting, self._queue = self._queue, deque()
        for _, _, batch in waiting:
            self._left(batch)

    def position(self, name: str) -> SplitPosition:
        """Return where a split is: exactly what is taken of it is before that."""
        split = self._splits[name]
        if self._split is not split or self._batch is None or self._taken_count == 0:
            return split.position
        after = self._batch.position_after(self._taken_count, split.base)
        return SplitPosition(SplitKind.AT, [*after])

    def positions(self) -> dict[str, SplitPosition]:
        """Return where each split is."""
        # Barriers wait for this, and a worker may have 100,000 splits.
        positions = {name: split.position for name, split in self._splits.items()}
        if self._split is not None and self._split.name in positions:
            positions[self._split.name] = self.position(self._split.name)
        return positions

    # What is read

    def arrived(self, name: str, reading: int, batch: SplitBatch) -> None:
        """Queue a batch of a split."""
        split = self._splits.get(name)
        if split is None or split.reading != reading:
            self._left(batch)
            return
        self._queue.append((split, reading, batch))
        self._go_on()

    def ended(self, name: str, reading: int, problem: str = "") -> None:
        """No batch follows in this split; ``problem`` says why, if it is not at its end."""
        split = self._splits.get(name)
        if split is not None and split.reading == reading:
            split.break_off(problem)
            self._queue.append((split, reading, None))
            self._go_on()

    # What the engine takes

    @property
    def has_records(self) -> bool:
        """Whether ``take`` would return any."""
        return self._batch is not None and self._taken_count < len(self._batch.records)

    @property
    def delivered_ns(self) -> int:
        """The time at which the next records were read."""
        return 0 if self._batch is None else self._batch.read_ns

    @property
    def origin(self) -> Origin:
        """From which split the next records are, and when they were read."""
        return Origin(None if self._split is None else self._split.name, self.delivered_ns)

    def take(self, record_count_max: int) -> list[Any]:
        """Return the next records, all of one split."""
        batch = self._batch
        if batch is None:
            return []
        start, count = self._taken_count, len(batch.records)
        self._taken_count = end = min(start + record_count_max, count)
        records = batch.records if start == 0 and end == count else batch.records[start:end]
        if batch.keys is None and not self._gives_times:
            return records
        keys = None if batch.keys is None else [*batch.keys[start:end]]
        times = None
        if self._gives_times:
            # Without any times, each record is a dead letter that says so. A connector's own
            # sequence may know no slices.
            given = batch.times
            times = [None if given is None else given[index] for index in range(start, end)]
        return KeyedRecords(records, keys, times)

    def batch_consumed(self) -> None:
        """Go on with the next batch."""
        self._is_queued = False
        split, batch = self._split, self._batch
        if split is not None and batch is not None:
            split.finish(batch)
        self._drop_current()
        self._go_on()

    # The queue

    def _go_on(self) -> None:
        """Take the first batch that has records, if the engine has none of this source."""
        while self._queue and self._batch is None and not self._is_queued:
            split, _, batch = self._queue.popleft()
            if batch is None:
                split.finish_all()
                self._expect_no_longer(split.name)
                self._events.split_ended(split.name)
                continue
            taken_count = split.take_up(batch)
            if taken_count < len(batch.records):
                self._split, self._batch, self._taken_count = split, batch, taken_count
                self._is_queued = True
                self._engine.source_ready(self)
            else:
                split.finish(batch)
                if split.is_caught_up:
                    self._expect_no_longer(split.name)
                self._left(batch)

    def _expect_no_longer(self, split: str) -> None:
        if self._engine.timing is not None:
            self._engine.timing.expect_no_longer(self._pipeline, split)

    def _drop_current(self) -> None:
        batch, self._split, self._batch, self._taken_count = self._batch, None, None, 0
        self._left(batch)

    def _left(self, batch: SplitBatch | None) -> None:
        if batch is not None:
            self._events.batch_left(batch)
