"""Derives what a coordinator starts with from the plan, the options and the last checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass

from wallaroo.connectors.base import Assignment
from wallaroo.coordinator.cluster_state import FIRST_EPOCH, Membership
from wallaroo.coordinator.manifest_writer import StartingPoint, initial_maps
from wallaroo.coordinator.source_assignment import initial_assignment
from wallaroo.coordinator.splits import SplitLedger
from wallaroo.coordinator.stop_intent import AtStop
from wallaroo.names import NO_BARRIER, WorkerName
from wallaroo.topology.fingerprint import difference, outline
from wallaroo.topology.plan import Application


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRules:
    """The user's choices about one run."""

    source_worker: str = ""
    """The worker that runs all single-worker sources; empty to let a rule choose."""
    may_restart: bool = True
    restarts_max: int = 10
    """Losses of one worker within a minute before the run ends."""
    is_patient: bool = False
    """Whether a worker that is lost before all are ready is restarted, too."""
    worker_timeout_s: float | None = None
    """A worker that sends no heartbeat for so long is lost; ``None`` for no limit."""
    stop_timeout_s: float | None = None
    """A stop that takes longer than this becomes an immediate one; ``None`` for no limit."""
    at_stop: AtStop = AtStop.AUTO
    checkpoint_interval_s: float = 1.0
    checkpoint_interval_s_per_worker: float = 0.0
    """The interval is at least so long for each worker."""
    checkpoint_failures_max: int | None = None
    """Checkpoints that may fail in a row before the run ends."""
    may_lose_input: bool = False
    """Whether to continue without journals that are missing."""

    def interval_s(self, worker_count: int) -> float:
        """Return the time from one checkpoint to the next with so many workers."""
        return max(self.checkpoint_interval_s, self.checkpoint_interval_s_per_worker * worker_count)


def starting_membership(
    plan: Application,
    workers: tuple[WorkerName, ...],
    source_addresses: Sequence[str],
    starting_point: StartingPoint | None,
    rules: RunRules,
) -> Membership:
    """Return the members and owners at the start of a run.

    ``starting_point`` is ``None`` in a run without checkpoints.
    """
    start = starting_point
    maps = initial_maps(plan, workers) if start is None else start.maps
    return Membership(
        workers=workers,
        outline=list(outline(plan)),
        difference=difference,
        partition_maps=[each.to_wire() for each in maps],
        source_addresses=list(source_addresses),
        sources=initial_assignment(plan, workers, rules.source_worker),
        may_restart=rules.may_restart,
        is_patient=rules.is_patient,
        is_durable=start is not None,
        has_time=any(state.timing is not None for state in plan.states.values()),
        at_stop=rules.at_stop,
        epoch=FIRST_EPOCH if start is None else start.epoch,
        manifest=0 if start is None else start.manifest,
        last_barrier=NO_BARRIER if start is None else start.last_barrier,
        checkpoint_failures_max=rules.checkpoint_failures_max,
        needed_input=None if start is None else start.needed_input,
        may_lose_input=rules.may_lose_input,
        counts={} if start is None else start.counts,
        outbox_cuts=() if start is None else start.outbox_cuts,
        lineage="" if start is None else start.lineage,
        splits=_starting_splits(plan, workers, start),
    )


def _starting_splits(
    plan: Application, workers: tuple[WorkerName, ...], start: StartingPoint | None
) -> SplitLedger:
    finds_more = {
        index: not pipeline.source.ends
        for index, pipeline in enumerate(plan.pipelines)
        if pipeline.source.assignment is Assignment.BY_SPLIT
    }
    splits = SplitLedger(finds_more, is_durable=start is not None)
    splits.restore(() if start is None else start.shares)
    splits.for_members(workers)
    return splits
