"""Windows in a dataflow: what the clock makes due runs through a chain, and so do late records."""

from dataclasses import replace
from typing import Any, NamedTuple

from tests.graphs import BY_SEVEN, PLACE, source
from tests.wallaroo.operators.mesh import Mesh, tcp_sink
from tests.wallaroo.operators.timed import fire_all
from tests.wallaroo.timing.windowed import JOIN, spec_of, tumbling
from wallaroo.connectors.base import Sink
from wallaroo.operators.dataflow import Dataflow
from wallaroo.operators.timed_states import TimedStates
from wallaroo.operators.timed_store import TimedFigures
from wallaroo.timing.window_spec import LatePolicy, WindowSpec
from wallaroo.topology.compile import compile_graph
from wallaroo.topology.describe import plan_text
from wallaroo.topology.fingerprint import outline
from wallaroo.topology.graph import (
    ComputationDeclaration,
    Feed,
    Graph,
    Inner,
    PipelineDeclaration,
    StateDeclaration,
    StepDeclaration,
    StepKind,
)
from wallaroo.topology.plan import Application
from wallaroo.topology.ports import Port


def window_step(spec: WindowSpec, name: str = "joined") -> StepDeclaration:
    computation = ComputationDeclaration(name, spec.aggregation.update, False, window=spec)
    state = StateDeclaration(name, spec.aggregation.initial, (), spec)
    return StepDeclaration(StepKind.FUSED, computation, PLACE, state, BY_SEVEN)


def fed_by_port(name: str, port: Port, *sinks: Sink) -> PipelineDeclaration:
    return PipelineDeclaration(name, Inner((Feed(0, None, port),)), (), sinks)


def windowed(spec: WindowSpec) -> Application:
    """Return an application whose results go to sink 0, and whose late records to sink 1."""
    return compile_graph(
        Graph(
            "windowed",
            (
                source("p", window_step(spec)),
                fed_by_port("results", Port.FIRED, tcp_sink().sink()),
                fed_by_port("late", Port.LATE, tcp_sink().sink()),
            ),
        )
    )


class Opened(NamedTuple):
    """A windowed application on one worker."""

    mesh: Mesh
    flow: Dataflow
    timed: TimedStates
    store: Any


def opened(spec: WindowSpec, *, tracks_changes: bool = False) -> Opened:
    mesh = Mesh(windowed(spec), tracks_changes=tracks_changes)
    (flow,) = mesh.flows.values()
    assert flow.timed is not None
    return Opened(mesh, flow, flow.timed, flow.timed.stores["joined"])


def raising_output(key: Any, accumulator: str) -> str:
    raise ValueError(f"no output of {accumulator}")


SIDE = spec_of(tumbling(10), late=LatePolicy.SIDE)


def test_the_clock_runs_what_is_due_a_part_at_a_time() -> None:
    mesh, _, timed, store = opened(SIDE)
    assert timed.names == ["joined"]
    for key, record, time in [(1, "a", 0), (2, "b", 9), (1, "c", 3), (1, "d", 10)]:
        store.windows.add(key, record, time)
    assert timed.fire_some(10) == 0
    timed.advance("joined", 12)
    assert timed.due_state == "joined"
    assert timed.fire_some(1) == 1
    assert timed.fired("joined") < 10
    assert timed.fire_some(10) > 0
    assert timed.fire_some(10) == 0
    assert timed.fired("joined") == 12
    mesh.settle()
    assert mesh.lines() == [
        "Result(key=1, value='ac', start=0, end=10, kind='final')",
        "Result(key=2, value='b', start=0, end=10, kind='final')",
    ]
    assert store.figures() == TimedFigures(1, 0, {"final": 2})


def test_late_records_run_through_a_chain_of_their_own() -> None:
    mesh, _, timed, store = opened(SIDE)
    timed.advance("joined", 12)
    store.windows.add(1, "late", 9)
    timed.give("joined", 9)
    mesh.settle()
    assert mesh.lines(1) == ["late"]
    assert store.figures().late_count == 1


def test_results_and_late_records_are_counted_where_they_go() -> None:
    _, flow, timed, store = opened(SIDE)
    store.windows.add(1, "a", 0)
    timed.advance("joined", 10)
    timed.fire_some(10)
    store.windows.add(1, "late", 9)
    timed.give("joined", 9)
    counts = flow.tally.counts()
    assert counts["results/feed"] == [1, 1, 0, 0]
    assert counts["late/feed"] == [1, 1, 0, 0]


def test_an_output_that_raises_is_a_failure_of_its_window() -> None:
    spec = spec_of(tumbling(10), replace(JOIN, output=raising_output))
    _, flow, timed, store = opened(spec)
    store.windows.add(1, "a", 0)
    timed.advance("joined", 10)
    timed.fire_some(10)
    (failure,) = flow.take_failures()
    assert (failure.step, failure.key) == ("joined", 1)
    assert failure.error == "ValueError: no output of a"
    assert timed.due_state is None


def test_a_merge_that_raises_is_reported_with_key_and_window() -> None:
    spec = spec_of(tumbling(10), replace(JOIN, merge=raising_output))
    _, flow, timed, store = opened(spec, tracks_changes=True)
    store.windows.add(1, "a", 0)
    for pane in store.windows.panes():
        pane.set_aside()
    store.windows.add(1, "b", 0)
    timed.advance("joined", 10)
    fire_all(flow)
    (failure,) = flow.take_failures()
    assert (failure.step, failure.key) == ("joined", 1)
    assert failure.record == "Window(start=0, end=10)"


def test_plan_and_outline_show_windows_and_ports() -> None:
    plan = windowed(SIDE)
    text = plan_text(plan)
    assert "windows of 10 ns, late records: side" in text
    assert "results: go on in 'results'" in text
    assert "fed by late records of 'p'" in text
    lines = outline(plan)
    assert "inner pipeline 'results' fed by 'p' fired" in lines
    assert any(line.endswith("timing windows of 10 ns in parts") for line in lines)
