"""Whether the records of an exchange are combined before they travel, and what they become.

An accumulator costs a little more on its way than a record. So it depends on how many records of a
key there are in what is sent together: with 1,000 keys many, with 50,000 keys hardly two. That is
measured, and the chains are written again if the answer changes. An accumulator may replace records
of several turns of the engine, and records are sent at the end of each turn. So the keys and panes
of one turn, divided by its records, are the most that can be left::

    records travel --(less than WORTH in one turn)--> accumulators travel
    accumulators travel --(WORTH or more in what was sent)--> records travel

While records travel, most turns are not looked at, since counting keys costs a little, too.

What is combined cannot be sent one by one any more. So before accumulators travel, one of them is
pickled and read: if that fails, records travel for good.
"""

import pickle
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from wallaroo.names import WorkerName
from wallaroo.operators.routes import Routes
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.timing.grids import grid_of
from wallaroo.timing.partial_panes import PartialPane, PartialPanes
from wallaroo.timing.window_spec import CalendarWindows, FixedWindows
from wallaroo.topology.plan import Step

RECORDS_MIN = 256
"""A turn with fewer records says little, and little is to be gained."""
RECORDS_JUDGED = 4_096
"""While accumulators travel, they are counted over so many records."""
TURNS_BETWEEN = 64
"""While records travel, so many turns are not looked at after one that was."""
WORTH = 0.75
"""Accumulators travel if they are less than this share of the records."""


class Combiner:
    """One exchange before windows that may be fed with accumulators."""

    def __init__(self, step: Step) -> None:
        """``step`` is the window step behind the exchange."""
        assert step.window is not None
        windows = step.window.windows
        assert isinstance(windows, FixedWindows | CalendarWindows)
        self.step = step
        self.is_on = False
        """Whether chains combine records."""
        self.others: tuple[WorkerName, ...] = ()
        """All workers but this one."""
        self.partials: PartialPanes
        """What waits to be taken."""
        self._owners: Routes[int]
        self._workers: tuple[WorkerName, ...] = ()
        self._windows = windows
        self._aggregation = step.window.aggregation
        self._pane_of = grid_of(windows).pane
        self._may_combine = True
        self._turns_to_skip = 0
        self._record_count = self._accumulator_count = 0

    @property
    def waits(self) -> bool:
        """Whether something waits to be taken."""
        return bool(self._workers) and len(self.partials) > 0

    def bind(
        self, me: WorkerName, workers: tuple[WorkerName, ...], partition_map: PartitionMap
    ) -> None:
        """Begin again, with these workers as owners."""
        self._workers = workers
        self.others = tuple(worker for worker in workers if worker != me)
        numbers = {worker: number for number, worker in enumerate(workers)}
        self._owners = Routes(partition_map, [numbers[each] for each in partition_map.owners])
        self.partials = PartialPanes(self._windows, self._aggregation)

    def judge(self, lists: Sequence[list[Any]], width: int, read: Callable[[Any], Any]) -> bool:
        """Look at records that are about to travel, ``width`` items each, of which the first is the
        key and the last the time; return whether the chains have to combine from now on.

        ``read`` makes a record of the second item, which may be changed.
        """
        record_count = sum(map(len, lists)) // width
        if self.is_on or not self._may_combine or record_count < RECORDS_MIN:
            return False
        if self._turns_to_skip:
            self._turns_to_skip -= 1
            return False
        self._turns_to_skip = TURNS_BETWEEN
        if self._count_distinct(lists, width) < WORTH * record_count:
            flat = next(filter(None, lists))
            self.is_on = self._can_be_sent(read, flat[1], flat[width - 1])
        return self.is_on

    def take(self) -> Iterator[tuple[WorkerName, list[PartialPane]]]:
        """Yield what there is for each worker, this one too, and begin again with nothing."""
        if not self.waits:
            return
        owners = self._owners
        taken = self.partials.take(owners.known, owners.find, len(self._workers))
        for worker, panes in zip(self._workers, taken, strict=True):
            if panes:
                self._record_count += sum(pane.record_count for pane in panes)
                self._accumulator_count += sum(len(pane.keys) for pane in panes)
                yield worker, panes

    def judge_partials(self) -> bool:
        """Look at what was taken; return whether records have to travel from now on."""
        if not self.is_on or (self._may_combine and self._record_count < RECORDS_JUDGED):
            return False
        is_worthless = self._accumulator_count >= WORTH * self._record_count
        self.is_on = self._may_combine and not is_worthless
        self._record_count = self._accumulator_count = 0
        return not self.is_on

    def give_up(self) -> None:
        """Let records travel for good: an accumulator cannot be sent."""
        self._may_combine = False

    def _can_be_sent(self, read: Callable[[Any], Any], item: Any, time: int) -> bool:
        """Return whether another worker can read the accumulator of one record."""
        aggregation = self._aggregation
        try:
            accumulator = aggregation.updated(read(item), aggregation.initial(), time)
        except BaseException:  # noqa: BLE001  user code; the record fails at its owner
            return False
        try:
            copied(accumulator)
        except BaseException:  # noqa: BLE001  user code
            self.give_up()
            return False
        return True

    def _count_distinct(self, lists: Sequence[list[Any]], width: int) -> int:
        found = set()
        start = end = 0
        keys = chain.from_iterable(flat[0::width] for flat in lists)
        times = chain.from_iterable(flat[width - 1 :: width] for flat in lists)
        for key, time in zip(keys, times, strict=True):
            if not start <= time < end:
                start, end = self._pane_of(time)
            found.add((key, start))
        return len(found)


def copied(value: Any) -> Any:
    """Return what another worker gets of a value."""
    return pickle.loads(pickle.dumps(value, pickle.HIGHEST_PROTOCOL))
