"""The nodes of a plan at which records are counted: each source, each step, each sink."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from wallaroo.connectors.base import Sink
from wallaroo.names import EdgeId, SinkId, StepId
from wallaroo.topology.plan import Application, Exchange, ExchangeKind, Pipeline, Step


@dataclass(frozen=True, slots=True)
class Node:
    """One node. ``id`` is the same in every process that runs the plan."""

    index: int
    """Position among all nodes of the plan."""
    id: str
    kind: str
    """``source``, ``step`` or ``sink``."""
    label: str
    """Its unique name within the pipeline."""
    pipeline: str
    step_kind: str
    """The builder's method that adds such a step; for a source or sink, its class."""
    state: str | None
    is_multi: bool
    edge: EdgeId | None
    """The exchange before it."""


class Nodes:
    """All nodes of a plan in order: for each pipeline the source, the steps, the sinks."""

    def __init__(self, plan: Application) -> None:
        self.all: list[Node] = []
        self.of_source: list[int] = []
        """The index of the source, by pipeline."""
        self.of_step: dict[StepId, int] = {}
        self.of_sink: dict[SinkId, int] = {}
        self.of_edge: dict[EdgeId, int] = {}
        """The index of the step after the exchange."""
        self.pipelines_of_sinks: list[int] = []
        """The index of the pipeline, by sink."""
        self.by_pipeline: list[list[Node]] = []
        pipeline_of = {
            sink: index for index, pipeline in enumerate(plan.pipelines) for sink in pipeline.sinks
        }
        self.pipelines_of_sinks = [pipeline_of[SinkId(sink)] for sink in range(len(plan.sinks))]
        for pipeline in plan.pipelines:
            first = len(self.all)
            self._add_pipeline(plan, pipeline)
            self.by_pipeline.append(self.all[first:])
        self.edges: list[tuple[str, str, bool]] = [
            edge for nodes in self.by_pipeline for edge in _edges(nodes)
        ]
        """Ids of two successive nodes, and whether an exchange is between them."""

    def _add_pipeline(self, plan: Application, pipeline: Pipeline) -> None:
        labels = _Labels()
        kind = pipeline.source.kind
        self.of_source.append(self._add(pipeline, "source", labels.new("source"), kind))
        for stage in pipeline.stages:
            exchange = stage.exchange
            for step in stage.steps:
                index = self._add_step(pipeline, step, labels.new(step.name), exchange)
                if exchange is not None:
                    self.of_edge[exchange.edge] = index
                exchange = None
        for sink_id in pipeline.sinks:
            sink: Sink = plan.sinks[sink_id]
            label = labels.new(sink.describe())
            self.of_sink[sink_id] = self._add(pipeline, "sink", label, sink.kind)

    def _add_step(
        self, pipeline: Pipeline, step: Step, label: str, exchange: Exchange | None
    ) -> int:
        index = self._add(pipeline, "step", label, _step_kind(exchange), step, exchange)
        self.of_step[step.id] = index
        return index

    def _add(
        self,
        pipeline: Pipeline,
        kind: str,
        label: str,
        step_kind: str,
        step: Step | None = None,
        exchange: Exchange | None = None,
    ) -> int:
        index = len(self.all)
        self.all.append(
            Node(
                index=index,
                id=f"{pipeline.name}/{label}",
                kind=kind,
                label=label,
                pipeline=pipeline.name,
                step_kind=step_kind,
                state=None if step is None else step.state,
                is_multi=step is not None and step.is_multi,
                edge=None if exchange is None else exchange.edge,
            )
        )
        return index


class _Labels:
    """The names within one pipeline; a repeated name becomes ``name#2``."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def new(self, name: str) -> str:
        self._seen[name] += 1
        count = self._seen[name]
        return name if count == 1 else f"{name}#{count}"


def _step_kind(exchange: Exchange | None) -> str:
    if exchange is None:
        return "to"
    if exchange.kind is ExchangeKind.ROUND_ROBIN:
        return "to_parallel"
    return "to_stateful" if exchange.partition is None else "to_state_partition"


def _edges(nodes: list[Node]) -> Iterable[tuple[str, str, bool]]:
    before = nodes[0]
    for node in nodes[1:]:
        yield before.id, node.id, node.edge is not None
        if node.kind == "step":
            before = node
