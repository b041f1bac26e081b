"""The nodes of a plan at which records are counted: each source, each step, each sink.

An inner pipeline starts with a node of its own, whose records are those of all its feeds. A split
is a node, since a predicate may fail, and so is a key behind the last step of a pipeline. A sink of
several pipelines is one node, which belongs to the first of them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from wallaroo.names import EdgeId, SinkId, StepId
from wallaroo.topology.plan import (
    Application,
    Exchange,
    ExchangeKind,
    Flow,
    InnerPipeline,
    Step,
)


@dataclass(frozen=True, slots=True)
class Node:
    """One node. ``id`` is the same in every process that runs the plan."""

    index: int
    """Position among all nodes of the plan."""
    id: str
    kind: str
    """``source``, ``step`` or ``sink``; ``feed`` if it is the start of an inner pipeline."""
    label: str
    """Its unique name within the pipeline."""
    pipeline: str
    step_kind: str
    """The method that adds such a step; for a source or sink, its class."""
    state: str | None
    is_multi: bool
    edge: EdgeId | None
    """The exchange before it."""
    is_window: bool = False
    """Whether time decides when its results leave it."""


class Edge(NamedTuple):
    """Two successive nodes, by id."""

    before: str
    after: str
    is_exchange: bool
    """Whether an exchange is between them."""
    flow: str = "after"
    """Which node's counts say how many records go over it: those that reach the node ``after`` it;
    those that leave the node ``before`` it, if other edges end at the same node; or none, if that
    is a branch."""


class Nodes:
    """All nodes of a plan in order: for each pipeline the source, the steps, the sinks.

    Pipelines are those of ``Application.flows``.
    """

    def __init__(self, plan: Application) -> None:
        self.all: list[Node] = []
        self.of_source: list[int] = []
        """The index of the source or feed, by pipeline."""
        self.of_end: dict[int, int] = {}
        """The index of the split, or of the key behind the last step, by pipeline that has one."""
        self.of_step: dict[StepId, int] = {}
        self.last_step: dict[int, int] = {}
        """The index of the last step, by pipeline that has one."""
        self.of_sink: dict[SinkId, int] = {}
        self.of_edge: dict[EdgeId, int] = {}
        """The index of the step after the exchange."""
        self.ends_reached: list[dict[int, list[int]]] = [
            _ends_reached(plan, index) for index in range(len(plan.flows))
        ]
        """By pipeline: the sinks that its records reach on one worker, in the order of
        ``Application.sinks_reached_from``, with the pipelines that end in them on the way."""
        self.by_pipeline: list[list[Node]] = []
        for index, pipeline in enumerate(plan.flows):
            first = len(self.all)
            self._add_pipeline(plan, pipeline, index)
            self.by_pipeline.append(self.all[first:])
        self.edges: list[Edge] = []
        for index in range(len(plan.flows)):
            self.edges += self._edges(plan, index)
        ends = Counter(edge.after for edge in self.edges)
        branches = {
            self.all[self.of_end[index]].id
            for index, each in enumerate(plan.flows)
            if each.branches
        }
        for place, edge in enumerate(self.edges):
            if ends[edge.after] > 1:
                flow = "" if edge.before in branches else "before"
                self.edges[place] = edge._replace(flow=flow)

    def _add_pipeline(self, plan: Application, pipeline: Flow, flow: int) -> None:
        labels = _Labels()
        if isinstance(pipeline, InnerPipeline):
            start = self._add(pipeline, "feed", labels.new("feed"), "feed")
        else:
            start = self._add(pipeline, "source", labels.new("source"), pipeline.source.kind)
        self.of_source.append(start)
        for stage in pipeline.stages:
            exchange = stage.exchange
            for step in stage.steps:
                index = self._add_step(pipeline, step, labels.new(step.name), exchange)
                if exchange is not None:
                    self.of_edge[exchange.edge] = index
                self.last_step[flow] = index
                exchange = None
        if pipeline.branches:
            self.of_end[flow] = self._add(pipeline, "step", labels.new("split"), "split")
        elif pipeline.key is not None:
            self.of_end[flow] = self._add(pipeline, "step", labels.new("key_by"), "key_by")
        for sink_id in pipeline.sinks:
            if sink_id not in self.of_sink:
                sink = plan.sinks[sink_id]
                label = labels.new(plan.sink_label(sink_id))
                self.of_sink[sink_id] = self._add(pipeline, "sink", label, sink.kind)

    def _add_step(self, pipeline: Flow, step: Step, label: str, exchange: Exchange | None) -> int:
        index = self._add(pipeline, "step", label, _step_kind(step, exchange), step, exchange)
        self.of_step[step.id] = index
        return index

    def _add(
        self,
        pipeline: Flow,
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
                is_window=step is not None and step.window is not None,
                edge=None if exchange is None else exchange.edge,
            )
        )
        return index

    def _edges(self, plan: Application, flow: int) -> Iterable[Edge]:
        nodes = self.by_pipeline[flow]
        before = nodes[0]
        for node in nodes[1:]:
            if node.kind == "step":
                yield Edge(before.id, node.id, node.edge is not None)
                before = node
        # A key behind the last step is that of what the pipeline feeds, not of its sinks.
        is_key = before.step_kind == "key_by"
        last = nodes[nodes.index(before) - 1] if is_key else before
        for sink in plan.flows[flow].sinks:
            yield Edge(last.id, self.all[self.of_sink[sink]].id, False)
        for inner, _ in plan.fed_by(flow):
            yield Edge(before.id, self.all[self.of_source[inner]].id, False)


class _Labels:
    """The names within one pipeline; a repeated name becomes ``name#2``."""

    def __init__(self) -> None:
        self._seen: Counter[str] = Counter()

    def new(self, name: str) -> str:
        self._seen[name] += 1
        count = self._seen[name]
        return name if count == 1 else f"{name}#{count}"


def _step_kind(step: Step, exchange: Exchange | None) -> str:
    if exchange is not None and exchange.kind is ExchangeKind.ROUND_ROBIN:
        return "to_parallel"
    if step.is_filter:
        return "filter"
    if step.window is not None:
        return "window"
    if exchange is None or exchange.state is None or exchange.keeps_key:
        return "to"
    return "to_stateful" if exchange.partition is None else "to_state_partition"


def _ends_reached(plan: Application, flow: int) -> dict[int, list[int]]:
    reached = plan.reached_from(flow)
    return {
        sink: [index for index in reached if sink in plan.flows[index].sinks]
        for sink in plan.sinks_reached_from(flow)
    }
