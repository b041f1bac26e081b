"""What one worker does about splits of sources, besides reading them.

    Open --> ask the sources that are this worker's to ask --> Discovered, again and again
    Splits --> read them; once their first positions are known --> SplitsStarted
    a split has ended, or the sources were opened again --> SplitsEnded

A source is asked by one worker, which follows from the pipeline's name and the members. A resize
may make that another worker. So every ``Open`` decides anew, and a source is never asked again
before it has answered.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import islice

from wallaroo.checkpoint.departure import successor_of
from wallaroo.checkpoint.split_positions import SplitKind
from wallaroo.names import WorkerName
from wallaroo.wire.splits import Discovered, Splits, SplitsEnded, SplitsStarted
from wallaroo.worker.context import WorkerContext

SPLITS_A_FRAME_MAX = 10_000
"""An answer with more of them takes several frames."""


class SplitReading:
    """The splits of one worker during one incarnation."""

    def __init__(self, worker: WorkerContext, pipelines: Sequence[str]) -> None:
        """``pipelines`` are the names of all pipelines."""
        self._worker = worker
        self._pipelines = pipelines
        self._mine: set[int] = set()
        """The pipelines whose sources this worker has to ask."""
        self._asking: set[int] = set()
        self._reported: defaultdict[int, set[str]] = defaultdict(set)
        """By pipeline: the splits that were reported since the last ``Open``."""
        self._turn = 0
        """Goes up with each ``Open``; a pause that began in an earlier turn leads to nothing."""

    def given(self, order: Splits) -> None:
        """Read these splits from now on, or when the sources open."""
        splits = self._worker.sources.splits
        splits.give(order.pipeline, SplitKind(order.kind), order.splits, order.positions)
        self._report_started()

    def opened(self, members: Sequence[WorkerName]) -> None:
        """Begin to ask sources for their splits, and report what is known from before."""
        splits = self._worker.sources.splits
        self._turn += 1
        self._reported.clear()
        self._mine = {
            index
            for index in splits.open_sources
            if successor_of(f"splits {self._pipelines[index]}", members) == self._worker.me
        }
        for index in sorted(self._mine):
            self._ask(index)
        self._report_started()
        # The initializer has forgotten what it heard of ended splits in an older epoch.
        for index, ended in splits.ended().items():
            self._report_ended(index, ended)

    def end(self) -> None:
        """Ask no source any more."""
        self._turn += 1
        self._mine.clear()

    def _ask(self, index: int) -> None:
        if index not in self._asking:
            self._asking.add(index)
            self._worker.start(self._discover(index))

    async def _discover(self, index: int) -> None:
        worker = self._worker
        source = worker.sources.splits.open_sources[index]
        found = await source.discover()
        self._asking.discard(index)
        if index not in self._mine:
            return
        self._report_found(index, found)
        if source.discovery_s is not None:
            turn = self._turn
            await worker.pause(source.discovery_s)
            if turn == self._turn:
                self._ask(index)

    def _report_found(self, index: int, found: list[str]) -> None:
        reported, worker = self._reported[index], self._worker
        new = [split for split in found if split not in reported]
        reported.update(new)
        for start in range(0, max(len(new), 1), SPLITS_A_FRAME_MAX):
            end = start + SPLITS_A_FRAME_MAX
            worker.send(Discovered(worker.epoch, index, new[start:end], end >= len(new)))

    def _report_started(self) -> None:
        for index in self._worker.sources.splits.take_asking():
            self._worker.start(self._wait_for_start(index))

    async def _wait_for_start(self, index: int) -> None:
        worker = self._worker
        await worker.sources.splits.open_sources[index].resolved()
        worker.send(SplitsStarted(worker.epoch, index))

    def ended(self, pipeline: int, split: str, problem: str) -> None:
        """Report that a split has ended."""
        self._report_ended(pipeline, {split: problem})

    def _report_ended(self, pipeline: int, ended: Mapping[str, str]) -> None:
        items = iter(ended.items())
        while some := dict(islice(items, SPLITS_A_FRAME_MAX)):
            self._worker.send(SplitsEnded(self._worker.epoch, pipeline, some))
