"""Where a barrier is on its way through one worker (Chandy and Lamport 1985, with alignment).

For each pipeline a barrier passes the source, then one exchange after the other: an exchange is
passed when the barrier has arrived from every worker, this one included. After the last exchange
the sinks hold everything that was before the barrier.

    SourcePassed --> SendBarrier(edge 1) --all EdgePassed(edge 1)--> SendBarrier(edge 2) --> ...
                                                                 --> PipelineFlushed
    all pipelines flushed --> Aligned

An inner pipeline begins where those that feed it end, on the same worker. So its barrier sets out
when all of them are flushed, as if its source had passed: until then, one of them may still bring
it records from before the barrier. A pipeline is fed by earlier ones only, so each is reached.

Before it leaves a stage, it passes each **station** of that stage, a step at which records wait::

    PassStation(step) --StationPassed(step)--> the next station, or SendBarrier, or PipelineFlushed

A barrier of another worker may arrive before the initializer's order does, so a checkpoint begins
with the first event that names it. Events of an older checkpoint are ignored.
"""

from dataclasses import dataclass
from itertools import pairwise

from wallaroo.names import NO_BARRIER, CheckpointId, EdgeId, StepId, WorkerName
from wallaroo.topology.plan import Application


@dataclass(frozen=True, slots=True)
class SourcePassed:
    """This worker's source of a pipeline has nothing more before the barrier."""

    checkpoint: CheckpointId
    pipeline: int


@dataclass(frozen=True, slots=True)
class EdgePassed:
    """The barrier of an edge arrived from a worker, and everything before it is processed."""

    checkpoint: CheckpointId
    edge: EdgeId
    worker: WorkerName


@dataclass(frozen=True, slots=True)
class StationPassed:
    """Nothing that is before the barrier will leave this step any more."""

    checkpoint: CheckpointId
    step: StepId


@dataclass(frozen=True, slots=True)
class PassStation:
    """Report when the barrier has passed this step, at which records may wait."""

    checkpoint: CheckpointId
    step: StepId


@dataclass(frozen=True, slots=True)
class SendBarrier:
    """Send the barrier of this edge to all other workers, behind everything sent so far."""

    checkpoint: CheckpointId
    edge: EdgeId


@dataclass(frozen=True, slots=True)
class Aligned:
    """Everything before the barrier has been processed here; the sinks may be flushed."""

    checkpoint: CheckpointId


Event = SourcePassed | EdgePassed | StationPassed
Effect = PassStation | SendBarrier | Aligned


class Aligner:
    """The barriers of one worker, one checkpoint at a time."""

    def __init__(self, plan: Application, me: WorkerName, workers: tuple[WorkerName, ...]) -> None:
        self._me = me
        self._workers = frozenset(workers)
        self._edges = [
            [stage.exchange.edge for stage in pipeline.stages if stage.exchange is not None]
            for pipeline in plan.flows
        ]
        self._fed_by: dict[int, frozenset[int]] = {
            index: frozenset(feed.pipeline for feed in inner.feeds)
            for index, inner in enumerate(plan.inner, start=len(plan.pipelines))
        }
        """The pipelines that feed an inner one."""
        self._pipeline_of_edge = {
            edge: index for index, edges in enumerate(self._edges) for edge in edges
        }
        self._stations = [
            [
                [step.id for step in stage.steps if step.waiting is not None]
                for stage in pipeline.stages
            ]
            for pipeline in plan.flows
        ]
        """By pipeline and stage, in order."""
        self._places = {
            step: (pipeline, position, index)
            for pipeline, stages in enumerate(self._stations)
            for position, stations in enumerate(stages)
            for index, step in enumerate(stations)
        }
        self._checkpoint = CheckpointId(0)
        self._missing: dict[EdgeId, set[WorkerName]] = {}
        self._unflushed: set[int] = set()
        self._waiting: set[int] = set()
        """The inner pipelines for which the barrier has not set out."""

    def step(self, event: Event) -> list[Effect]:
        """Apply one event; return what to do, in order."""
        if event.checkpoint < self._checkpoint:
            return []
        if event.checkpoint > self._checkpoint:
            self._begin(event.checkpoint)
        match event:
            case SourcePassed(_, pipeline):
                return self._passed(pipeline, 0)
            case EdgePassed(_, edge, worker):
                return self._edge_passed(edge, worker)
            case StationPassed(_, step):
                pipeline, position, index = self._places[step]
                return self._pass_stations(pipeline, position, index + 1)

    def waits_for_others(self) -> CheckpointId:
        """Return the barrier that has left this worker's sources and is not through; 0 if none."""
        first_edges = [edges[0] for edges in self._edges if edges]
        has_left = any(self._me not in self._missing.get(edge, {self._me}) for edge in first_edges)
        return self._checkpoint if has_left and self._unflushed else NO_BARRIER

    def check(self) -> None:
        """Assert that a barrier passes exchanges and pipelines in their order."""
        for index, edges in enumerate(self._edges):
            missing = [self._missing.get(edge, self._workers) for edge in edges]
            for before, behind in pairwise(missing):
                assert self._me in behind or not before, (
                    "it left an exchange that it had not passed"
                )
            if self._checkpoint and index not in self._unflushed:
                assert not any(missing), "a pipeline is flushed before all barriers have arrived"
        for index, feeds in self._fed_by.items():
            assert index in self._waiting or not feeds & self._unflushed, (
                "it set out for an inner pipeline before it was through all that feed this one"
            )

    def _begin(self, checkpoint: CheckpointId) -> None:
        self._checkpoint = checkpoint
        self._missing = {edge: set(self._workers) for edge in self._pipeline_of_edge}
        self._unflushed = set(range(len(self._edges)))
        self._waiting = set(self._fed_by)

    def _edge_passed(self, edge: EdgeId, worker: WorkerName) -> list[Effect]:
        missing = self._missing[edge]
        assert worker in missing, f"edge {edge} had its barrier from {worker} already"
        missing.remove(worker)
        if missing:
            return []
        pipeline = self._pipeline_of_edge[edge]
        return self._passed(pipeline, self._edges[pipeline].index(edge) + 1)

    def _passed(self, pipeline: int, position: int) -> list[Effect]:
        """Go on behind everything of ``pipeline`` that is before its stage ``position``."""
        return self._pass_stations(pipeline, position, 0)

    def _pass_stations(self, pipeline: int, position: int, first: int) -> list[Effect]:
        """Pass the stations of a stage, from ``first`` on, and then what is behind the stage."""
        stations = self._stations[pipeline][position]
        if first < len(stations):
            return [PassStation(self._checkpoint, stations[first])]
        edges = self._edges[pipeline]
        if position < len(edges):
            edge = edges[position]
            # A worker sends no barrier to itself, since its own records never wait at an exchange.
            return [
                SendBarrier(self._checkpoint, edge),
                *self._edge_passed(edge, self._me),
            ]
        self._unflushed.remove(pipeline)
        effects: list[Effect] = []
        for inner, feeds in self._fed_by.items():
            if inner in self._waiting and not feeds & self._unflushed:
                self._waiting.remove(inner)
                effects += self._passed(inner, 0)
        return effects if self._unflushed or effects else [Aligned(self._checkpoint)]
