"""All sinks of one worker, driven as one."""

from collections.abc import Callable, Coroutine, Iterable, Sequence
from functools import partial
from typing import Any, Protocol

from wallaroo.checkpoint.manifest import OutboxBatch, Prepared, SinkShare
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.names import CheckpointId, SinkId
from wallaroo.worker.outbox import Outbox, OutboxLimits, OutboxOwner
from wallaroo.worker.outboxes import Outboxes, OutboxStart
from wallaroo.worker.result_order import ResultOrder
from wallaroo.worker.sink_port import FinishCut, OutboxSetup, SinkRunner
from wallaroo.worker.slots import slot_name


class RunTogether(Protocol):
    """Runs coroutines at the same time; returns when the last one has ended."""

    async def __call__(self, works: Iterable[Coroutine[Any, Any, None]], /) -> None:
        """Run them."""
        ...


class WorkerSinks:
    """The runners of all sinks of the plan, in its order."""

    def __init__(self, runners: Sequence[SinkRunner], run_together: RunTogether) -> None:
        self._runners = runners
        self._run_together = run_together
        self._writes = [runner.write for runner in runners]
        streams = {index: runner.stream for index, runner in enumerate(runners)}
        self.order = ResultOrder({at: each for at, each in streams.items() if each is not None})
        """Holds and releases streams when keys change their worker."""
        self._outboxes = Outboxes({}, lambda _: None)

    def write(self, sink: SinkId, rows: list[Any]) -> int:
        """Queue rows for a sink; return how many bytes they count as."""
        return self._writes[sink](rows)

    @property
    def backlog_bytes(self) -> int:
        """How many bytes wait for a sink."""
        return sum(runner.backlog_bytes for runner in self._runners)

    def settled_bytes(self) -> list[int]:
        """Return, by sink, how many bytes it has accepted since the process started."""
        self.settle()
        return [runner.settled_bytes for runner in self._runners]

    def settle(self) -> None:
        """Find out what the sinks have acknowledged."""
        for runner in self._runners:
            runner.settle()

    async def connected(self) -> None:
        """Wait until every sink is connected."""
        for runner in self._runners:
            await runner.connected()

    def cut(self, checkpoint: CheckpointId) -> FinishCut:
        """Make everything written so far part of ``checkpoint``.

        The result waits until all of it is durable or acknowledged, and returns what the checkpoint
        names. Output of a checkpoint that was abandoned is included.
        """
        return self._cut(runner.cut(checkpoint) for runner in self._runners)

    def cut_for_resize(self, checkpoint: CheckpointId) -> FinishCut:
        """Make sure that what any worker writes from now on follows what was written so far."""
        return self._cut(runner.cut_for_resize(checkpoint) for runner in self._runners)

    def _cut(self, cuts: Iterable[FinishCut]) -> FinishCut:
        # All cuts are made now, before records go on; only their ends are awaited later.
        finishes = [*cuts]

        async def finish() -> SinkShare:
            share = SinkShare()
            for finish_one in finishes:
                share += await finish_one()
            return share

        return finish

    def committed(self, checkpoint: CheckpointId, cuts: Sequence[CheckpointId]) -> None:
        """Note that the checkpoint is committed, with results to deliver of these cuts."""
        for runner in self._runners:
            runner.committed(checkpoint)
        self._outboxes.committed(cuts)

    def abandon(self, checkpoint: CheckpointId) -> None:
        """Note that there is no such checkpoint."""
        self._outboxes.abandon(checkpoint)

    # Results that are delivered after their checkpoint

    def begin_outboxes(
        self,
        start: OutboxStart,
        pickler: StatePickler,
        limits: OutboxLimits,
        report: Callable[[CheckpointId], None],
    ) -> None:
        """Begin with what a manifest names; ``connected`` waits until that is delivered.

        ``report`` is called with each cut that all sinks have and that is not the last one.
        """
        by_sink: dict[SinkId, Outbox] = {}
        self._outboxes = outboxes = Outboxes(by_sink, report)
        for index, runner in enumerate(self._runners):
            sink = SinkId(index)
            slot_of = partial(slot_name, start.application, start.lineage, sink)
            if runner.preparing is not None:
                runner.preparing.begin(slot_of, start.prepared.of(sink))
            if runner.outbox is not None:
                by_sink[sink] = runner.outbox.new_outbox(
                    OutboxSetup(
                        owner=OutboxOwner(sink=sink, worker=start.worker, epoch=start.epoch),
                        slot_of=slot_of,
                        pickler=pickler,
                        limits=limits,
                        progressed=outboxes.progressed,
                    )
                )
        outboxes.begin(start)

    def deliver_cut(self, cut: CheckpointId) -> None:
        """Deliver this cut: the sinks of all workers have those before it."""
        self._outboxes.deliver_cut(cut)

    def inherit(self, batches: Sequence[OutboxBatch], prepared: Sequence[Prepared]) -> None:
        """List these results of a worker that has left in the next checkpoint."""
        self._outboxes.inherit(batches)
        for index, runner in enumerate(self._runners):
            if runner.preparing is not None:
                runner.preparing.inherit([each for each in prepared if each.sink == index])

    def give_away(self) -> None:
        """Leave what no checkpoint names to the successor of this worker."""
        self._outboxes.give_away()
        for runner in self._runners:
            if runner.preparing is not None:
                runner.preparing.give_away()

    async def discard(self) -> None:
        """Discard all output that belongs to no checkpoint and is not visible yet."""
        await self._run_together(runner.discard() for runner in self._runners)

    async def flush(self) -> None:
        """Wait until the sinks have everything, then close them."""
        await self._run_together(runner.flush() for runner in self._runners)
        for runner in self._runners:
            runner.close()
