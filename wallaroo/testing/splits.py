"""What reads partitions of a simulated log on one worker.

Discoveries are late, report what was true a while ago, and leave partitions out. First positions
take some time. A position is an offset and where the partition ends for this run, which the log
says once for each run.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from wallaroo.checkpoint.split_positions import INITIAL, SplitKind, SplitPosition
from wallaroo.errors import StateObjectError
from wallaroo.ingest.split_ports import SplitSourceEvents
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.engine_ports import Origin
from wallaroo.testing.faults import Chaos
from wallaroo.testing.logs import SimulatedLog, offset_of
from wallaroo.testing.loop import Process
from wallaroo.testing.waiting import Flag

BATCH_RECORDS_MAX = 20
DISCOVERY_MAX_S = 0.05
LATE_DISCOVERY_MAX_S = 3.0
START_MAX_S = 0.2
"""The longest time until a first position is known."""
CLOSE_MAX_S = 0.2
FAILED_POSITIONS_OF = 100
"""The more of them may fail, the more often they do, so that not only the first ones fail."""


class SimulatedSplits:
    """The partitions of a log that one worker reads, as ``SplitSource`` and ``SourceRunner``."""

    def __init__(
        self,
        pipeline: int,
        log: SimulatedLog,
        process: Process,
        engine: Engine,
        events: SplitSourceEvents,
        chaos: Chaos,
        problems: list[str],
    ) -> None:
        self.pipeline = pipeline
        self.delivered_ns = 0
        self.discovery_s = log.discovery_s
        self.resumes = log.ends
        self.reconnect_count = 0
        self.ended: dict[str, str] = {}
        self._log = log
        self._process = process
        self._engine = engine
        self._events = events
        self._chaos = chaos
        self._problems = problems
        self._random = process.loop.random
        self._offsets: dict[str, int | None] = {}
        """By partition: the next record; ``None`` until it is known where this run starts."""
        self._ends: dict[str, int] = {}
        self._earlier: dict[str, SplitPosition] = {}
        """What an earlier run has read, until it is known where this one goes on."""
        self._are_resolved = Flag()
        self._is_running = self._is_queued = False
        self._current = ""
        """The partition from which the engine takes, up to ``_batch_end``."""
        self._batch_end = 0
        log.follow(process, self._go_on)

    @property
    def origin(self) -> Origin:
        """From which partition the next records are."""
        return Origin(self._current, 0)

    # Which partitions

    def start(self) -> None:
        """Read the partitions that are added."""
        self._is_running = True
        self._go_on()

    def add(self, split: str, position: SplitPosition) -> None:
        """Read a partition."""
        assert split not in self._offsets, f"partition {split} is read here already"
        partition = self._log.partitions[split]
        match position.kind:
            case SplitKind.INITIAL | SplitKind.EARLIER:
                self._offsets[split] = None
                if position.kind is SplitKind.EARLIER:
                    self._earlier[split] = position
                self._are_resolved.clear()
                delay_s = self._random.random() * START_MAX_S
                self._process.call_later(delay_s, partial(self._resolve, split))
                return
            case SplitKind.AT:
                _, self._ends[split] = position.position
            case SplitKind.ENDED:
                self.ended[split] = position.position[0]
        offset = offset_of(position)
        self._ends.setdefault(split, partition.record_count)
        self._read_from(split, offset)

    def _read_from(self, split: str, offset: int) -> None:
        partition = self._log.partitions[split]
        if offset < partition.dropped_count:
            self._problems.append(
                f"partition {split} is read from record {offset} on, and the log has dropped all "
                f"before record {partition.dropped_count}, since checkpoints are past it"
            )
        self._offsets[split] = offset
        partition.taken(offset)
        self._process.call_later(0.0, self._go_on)

    def _resolve(self, split: str) -> None:
        if split in self._offsets and self._offsets[split] is None:
            before = self._earlier.pop(split, None)
            start = self._log.start(split) if before is None else offset_of(before)
            self._ends[split] = self._log.end(split)
            self._read_from(split, start)
            if None not in self._offsets.values():
                self._are_resolved.set()
            self._go_on()

    def remove(self, split: str) -> SplitPosition:
        """Read a partition no more."""
        position = self._position(split)
        del self._offsets[split]
        self._ends.pop(split, None)
        self._earlier.pop(split, None)
        self.ended.pop(split, None)
        if self._current == split:
            self._current = ""
        return position

    def positions(self) -> dict[str, SplitPosition]:
        """Return where each partition is, or fail."""
        probability = self._chaos.faults.failed_positions / FAILED_POSITIONS_OF
        if self._offsets and self._chaos.take("failed_positions", probability):
            raise StateObjectError("the log does not answer", hint="ask again")
        return {split: self._position(split) for split in self._offsets}

    def _position(self, split: str) -> SplitPosition:
        offset = self._offsets[split]
        if offset is None:
            return self._earlier.get(split, INITIAL)
        if split in self.ended:
            return SplitPosition(SplitKind.ENDED, [self.ended[split], offset])
        return SplitPosition(SplitKind.AT, [offset, self._ends[split]])

    def stop(self) -> None:
        """Return no more records."""
        self._is_running = False
        self._current = ""

    async def close(self) -> None:
        """Wait until the reader has noticed it."""
        await self._process.pause(self._random.random() * CLOSE_MAX_S)

    async def discover(self) -> list[str]:
        """Return the partitions, perhaps those that were there a while ago."""
        before = self._log.names()
        is_late = self._chaos.happens("late_discoveries", 0.2)
        longest_s = LATE_DISCOVERY_MAX_S if is_late else DISCOVERY_MAX_S
        await self._process.pause(self._random.random() * longest_s)
        names = before if self._random.random() < 0.5 else self._log.names()
        self._random.shuffle(names)
        if is_late and names and self._log.is_growing:
            names.pop()  # as a broker that does not answer for one of its nodes
        return names

    async def resolved(self) -> None:
        """Wait until all first positions are known."""
        while None in self._offsets.values():
            await self._are_resolved.wait()

    @property
    def split_count(self) -> int:
        """How many partitions are read here."""
        return len(self._offsets)

    @property
    def lag(self) -> int | None:
        """Nothing: a simulated cluster measures nothing."""
        return None

    def worst_facts(self, count_max: int) -> list[dict[str, Any]]:
        """Return nothing, too."""
        return []

    def facts(self) -> list[dict[str, Any]]:
        """Return nothing: a simulated cluster measures nothing."""
        return []

    def committed(self, positions: Mapping[str, SplitPosition]) -> None:
        """Demand that no position is ahead of what was taken."""
        for split, position in positions.items():
            offset = self._offsets.get(split)
            if position.kind is SplitKind.AT and offset is not None:
                assert offset_of(position) <= offset, f"partition {split} is not at {position}"

    # What the engine takes

    @property
    def has_records(self) -> bool:
        """Whether the engine may take more of the current partition."""
        offset = self._offsets.get(self._current)
        return offset is not None and offset < self._batch_end

    def take(self, record_count_max: int) -> list[Any]:
        """Return the next records."""
        split, start = self._current, self._offsets.get(self._current)
        if start is None:
            return []
        end = min(start + record_count_max, self._batch_end)
        partition = self._log.partitions[split]
        self._offsets[split] = end
        partition.taken(end)
        return partition.copied(start, end)

    def batch_consumed(self) -> None:
        """Go on with another partition."""
        self._is_queued = False
        self._current = ""
        self._go_on()

    def _go_on(self) -> None:
        if self._is_queued or not self._is_running:
            return
        ready = []
        for split, offset in self._offsets.items():
            if offset is None or split in self.ended:
                continue
            if offset < self._appended(split):
                ready.append((split, offset))
            elif self._log.ends and offset >= self._ends[split]:
                self.ended[split] = ""
                self._events.split_ended(self.pipeline, split, "")
        if ready:
            self._current, start = self._random.choice(ready)
            end = start + self._random.randint(1, BATCH_RECORDS_MAX)
            self._batch_end = min(end, self._appended(self._current))
            self._is_queued = True
            self._engine.source_ready(self)

    def _appended(self, split: str) -> int:
        """Return how far a partition can be read now, in this run."""
        return min(self._log.partitions[split].appended_count, self._ends[split])
