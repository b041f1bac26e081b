"""A simulated log with partitions, such as a topic.

The log grows while the cluster runs. Partitions are added to it, and it drops records that no
checkpoint needs any more. Whether the cluster reads each record once follows from the states that
the records leave.

The first position of a partition is the end of the log at that moment, the hardest rule there is:
asked for a second time, it has moved on and records are lost. So that it is known which records
must be processed, nothing is written before the first positions are in a checkpoint.
"""

import pickle
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import Any

from wallaroo.checkpoint.manifest import Manifest
from wallaroo.checkpoint.split_positions import (
    NEW,
    SplitKind,
    SplitPosition,
    merged,
    split_values,
    unasked,
)
from wallaroo.testing.faults import Chaos
from wallaroo.testing.loop import Loop, Process

GROWS_EVERY_S = 0.1
APPENDED_MAX = 12
PAUSES_MAX = 2
"""How often a run may end although a partition goes on behind its end."""
DISCOVERIES_S = (0.05, 0.3, 1.0)
"""How often the sources of a run are asked for their splits."""


class Partition:
    """One partition, from its first record to its last."""

    def __init__(self, records: Sequence[Any]) -> None:
        self._pickled = [pickle.dumps(each) for each in records]
        self.is_there = False
        self.appended_count = 0
        """How many of its records are in the log so far."""
        self.dropped_count = 0
        """How many the log has dropped again."""
        self.taken_count = 0
        """The position of the worker that read it last."""
        self.pause_count = 0

    @property
    def record_count(self) -> int:
        """How many records it has in the end."""
        return len(self._pickled)

    @property
    def is_whole(self) -> bool:
        """Whether all its records are in the log."""
        return self.appended_count == self.record_count

    def taken(self, position: int) -> None:
        """Note the position of the worker that reads it."""
        self.taken_count = position

    def copied(self, start: int, end: int) -> list[Any]:
        """Return copies of some records."""
        return [pickle.loads(each) for each in self._pickled[start:end]]


class SimulatedLog:
    """All partitions of one source."""

    def __init__(
        self,
        partitions: Mapping[str, Sequence[Any]],
        loop: Loop,
        chaos: Chaos,
        *,
        ends: bool,
        pauses: bool,
        may_be_empty: bool,
    ) -> None:
        """With ``ends``, its partitions end with their last record, and none is added.

        With ``pauses``, they also end before it, and the next run of the command goes on.
        ``may_be_empty`` says whether all partitions may be added later.
        """
        self.ends = ends
        self._pauses = ends and pauses
        self.partitions = {name: Partition(records) for name, records in partitions.items()}
        self._loop = loop
        random = Random(f"log {sorted(partitions)} {loop.random.random()}")
        self._random = random
        self.discovery_s = None if ends else random.choice(DISCOVERIES_S)
        names = [*self.partitions]
        most = 0 if ends else max(len(names) - (not may_be_empty), 0)
        later_count = min(chaos.partitions_added(), most)
        self._later = random.sample(names, later_count)
        """Partitions that are added while the cluster runs."""
        for name, each in self.partitions.items():
            each.is_there = name not in self._later
        self._first = [name for name in names if name not in self._later]
        self._is_growing = False
        self._started: set[str] = set()
        self._on_growth: dict[Process, Callable[[], None]] = {}

    def names(self) -> list[str]:
        """Return the names of all partitions that are there now."""
        return [name for name, each in self.partitions.items() if each.is_there]

    def contents(self) -> list[list[Any]]:
        """Return copies of all records, by partition."""
        return [each.copied(0, each.record_count) for each in self.partitions.values()]

    def start(self, name: str) -> int:
        """Return the first position of a partition: its end."""
        self._started.add(name)
        return self.partitions[name].appended_count

    def end(self, name: str) -> int:
        """Return where a partition ends for a run that starts now."""
        each, random = self.partitions[name], self._random
        if self._pauses and each.pause_count < PAUSES_MAX and random.random() < 0.5:
            each.pause_count += 1
            return random.randint(each.appended_count, each.record_count)
        return each.record_count

    def follow(self, process: Process, on_growth: Callable[[], None]) -> None:
        """Call ``on_growth`` in this process whenever records were appended."""
        self._on_growth = {each: call for each, call in self._on_growth.items() if each.is_alive}
        self._on_growth[process] = on_growth

    @property
    def is_read(self) -> bool:
        """Whether all records are taken, of the partitions that are still to be added too."""
        return all(each.taken_count == each.record_count for each in self.partitions.values())

    @property
    def is_whole(self) -> bool:
        """Whether all records are in the log."""
        return all(each.is_whole for each in self.partitions.values())

    @property
    def are_starts_known(self) -> bool:
        """Whether the readers know the positions of all partitions that were there first."""
        return self._started >= {*self._first}

    @property
    def is_growing(self) -> bool:
        """Whether records are written to it."""
        return self._is_growing

    def grow(self) -> None:
        """Write records from now on."""
        if not self._is_growing:
            self._is_growing = True
            self._loop.call_later(self._random.random() * GROWS_EVERY_S, self._grow)

    def has_first_positions(self, positions: Mapping[str, Any] | None) -> bool:
        """Return whether all partitions that were there first have a position here.

        ``None`` are the positions of a source that was not asked for its partitions yet.
        """
        return positions is not None and all(
            name in positions and _is_known(positions[name]) for name in self._first
        )

    def is_read_in(self, positions: Mapping[str, Any] | None) -> bool:
        """Return whether all records are before these positions."""
        return positions is not None and all(
            name in positions and _offset(positions[name]) == each.record_count
            for name, each in self.partitions.items()
            if each.record_count
        )

    def drop(self, kept: Iterable[Mapping[str, Any] | None]) -> None:
        """Drop all records before the positions in each of the checkpoints that are kept."""
        checkpoints = [*kept]
        for name, each in self.partitions.items():
            offsets = [
                _offset((positions or {}).get(name, NEW.to_wire())) for positions in checkpoints
            ]
            each.dropped_count = max(each.dropped_count, min(offsets, default=0))

    def _grow(self) -> None:
        random = self._random
        if self._later and random.random() < 0.2:
            name = self._later.pop()
            added = self.partitions[name]
            added.is_there = True
            # Some are in it before anybody can know of it.
            added.appended_count = random.randint(0, added.record_count)
            self._loop.tell("log", f"has a partition {name}: {added.appended_count} records")
        growing = [each for each in self.partitions.values() if each.is_there and not each.is_whole]
        if growing:
            each = random.choice(growing)
            count = each.appended_count + random.randint(1, APPENDED_MAX)
            each.appended_count = min(count, each.record_count)
        for process, call in self._on_growth.items():
            process.call_later(0.0, call)
        if not self.is_whole:
            self._loop.call_later(random.expovariate(1 / GROWS_EVERY_S), self._grow)


def _is_known(wire: Sequence[Any]) -> bool:
    return wire[0] in (SplitKind.AT, SplitKind.ENDED, SplitKind.EARLIER)


def _offset(wire: Sequence[Any]) -> int:
    return offset_of(SplitPosition.from_wire(wire))


def offset_of(position: SplitPosition) -> int:
    """Return the next record of a partition."""
    match (where := unasked(position)).kind:
        case SplitKind.AT:
            return int(where.position[0])
        case SplitKind.ENDED:
            return int(where.position[1])
        case _:
            return 0


def positions_in(manifest: Manifest, pipeline: int) -> dict[str, Any] | None:
    """Return the positions of all splits of a pipeline; ``None`` if it was never asked for them."""
    sources = merged(share.sources for share in manifest.workers.values())
    return split_values(sources.get(pipeline))
