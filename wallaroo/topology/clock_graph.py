"""How watermarks go through a plan: from sources, over exchanges, to the states that time changes.

A **point** has a watermark: a source on this worker, or a place at which watermarks of several
senders come together. That is a timed state, or any other place behind an exchange or a merge,
which only passes its clock on. A **way** leads from one point to another, over an exchange, on
which all workers send to all, or on this worker alone. It may lead past steps at which records
wait, and whose times hold the watermark back.
"""

from dataclasses import dataclass, field

from wallaroo.names import EdgeId, StepId
from wallaroo.topology.plan import Application, Stage
from wallaroo.topology.timing import needs_time, timed_flows


@dataclass(frozen=True, slots=True)
class Point:
    """Something that has a watermark."""

    name: str
    source: int | None = None
    """The pipeline, if it is a source."""
    state: str | None = None
    """The timed state, if it is one."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a watermark gets from one point to another."""

    start: int
    end: int
    edge: EdgeId | None
    """``None``: it stays on its worker."""
    stations: tuple[StepId, ...]
    """The steps on the way at which records wait."""
    place: int
    """The edge; for a way that stays here, a negative number of its own."""


@dataclass(frozen=True, slots=True)
class ClockGraph:
    """All points of a plan, and the ways between them."""

    points: list[Point]
    ways: list[Way]
    """In an order in which all ways to a point come before those that start there."""

    def sources_before(self) -> list[frozenset[int]]:
        """Return, by point, the pipelines whose sources reach it on the same or another worker."""
        found = [{point.source} if point.source is not None else set() for point in self.points]
        for way in self.ways:
            found[way.end] |= found[way.start]
        return [frozenset(each) for each in found]

    def shared_points(self) -> frozenset[int]:
        """Return the points that hear the same on all workers: only over exchanges, or from others
        that do."""
        shared: set[int] = set()
        for index, point in enumerate(self.points):
            into = [way for way in self.ways if way.end == index]
            if point.source is None and all(
                way.edge is not None or way.start in shared for way in into
            ):
                shared.add(index)
        return frozenset(shared)


def clock_graph(plan: Application) -> ClockGraph:
    """Return how watermarks go through a plan; empty if time changes none of its states."""
    builder = _Builder(plan)
    for flow in sorted(timed_flows(plan)):
        builder.add(flow)
    return ClockGraph(builder.points, _in_order(len(builder.points), builder.ways))


@dataclass(slots=True)
class _Place:
    """Where records are: behind a point, and behind these steps at which they wait."""

    point: int
    stations: list[StepId] = field(default_factory=list)


class _Builder:
    def __init__(self, plan: Application) -> None:
        self._plan = plan
        self.points: list[Point] = []
        self.ways: list[Way] = []
        self._states: dict[str, int] = {}
        self._ends: dict[int, _Place] = {}
        """By flow."""

    def add(self, flow: int) -> None:
        """Add a flow; those that feed it are added."""
        stages = self._plan.flows[flow].stages
        place = self._start(flow, stages[0])
        for index, stage in enumerate(stages):
            if stage.exchange is not None:
                if not needs_time(self._plan, flow, index):
                    return
                place = self._enter(place, stage, stage.exchange.edge)
            for step in stage.steps:
                if step.waiting is not None:
                    place.stations.append(step.id)
                elif step.state is not None and self._is_timed(step.state):
                    place = self._reach(place, step.state)
        self._ends[flow] = place

    def _start(self, flow: int, first: Stage) -> _Place:
        name = self._plan.flows[flow].name
        if flow < len(self._plan.pipelines):
            return _Place(self._add(Point(f"source {name}", source=flow)))
        point = self._add(Point(f"pipeline {name}"))
        for feed in self._plan.inner[flow - len(self._plan.pipelines)].feeds:
            self._lead(self._ends[feed.pipeline], point, None)
        return _Place(point)

    def _enter(self, place: _Place, stage: Stage, edge: EdgeId) -> _Place:
        """Go over an exchange: to a timed state, if one is directly behind it."""
        state = None
        for step in stage.steps:
            if step.waiting is not None or state is not None:
                break
            state = step.state if step.state is not None and self._is_timed(step.state) else None
        point = self._add(Point(f"exchange {edge}")) if state is None else self._state(state)
        self._lead(place, point, edge)
        return _Place(point)

    def _reach(self, place: _Place, state: str) -> _Place:
        point = self._state(state)
        if place.point != point or place.stations:
            self._lead(place, point, None)
        return _Place(point)

    def _state(self, state: str) -> int:
        if state not in self._states:
            self._states[state] = self._add(Point(f"state {state}", state=state))
        return self._states[state]

    def _is_timed(self, state: str) -> bool:
        timing = self._plan.states[state].timing
        return timing is not None and timing.needs_time

    def _add(self, point: Point) -> int:
        self.points.append(point)
        return len(self.points) - 1

    def _lead(self, place: _Place, end: int, edge: EdgeId | None) -> None:
        number = -len(self.ways) - 1 if edge is None else edge
        self.ways.append(Way(place.point, end, edge, tuple(place.stations), number))


def _in_order(point_count: int, ways: list[Way]) -> list[Way]:
    """Return the ways so that all to a point come before those that start there."""
    missing = [sum(way.end == point for way in ways) for point in range(point_count)]
    ordered: list[Way] = []
    ready = [point for point in range(point_count) if not missing[point]]
    for point in ready:
        for way in ways:
            if way.start == point:
                ordered.append(way)
                missing[way.end] -= 1
                if not missing[way.end]:
                    ready.append(way.end)
    assert len(ordered) == len(ways), "watermarks go round in a circle"
    return ordered
