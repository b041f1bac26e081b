from typing import Any

import pytest

from wallaroo.connectors.base import Sink, Source
from wallaroo.connectors.file import FileSource
from wallaroo.connectors.generator import GeneratorSource
from wallaroo.connectors.tcp import TCPSink, TCPSource
from wallaroo.names import EdgeId, SinkId, StepId
from wallaroo.topology.compile import compile_graph
from wallaroo.topology.graph import (
    ComputationDeclaration,
    Graph,
    PartitionDeclaration,
    PipelineDeclaration,
    SourceLocation,
    StateDeclaration,
    StepDeclaration,
    StepKind,
)
from wallaroo.topology.plan import (
    CONSTANT_KEY,
    Application,
    Exchange,
    ExchangeKind,
    Pipeline,
    State,
)

SOURCE = TCPSource("h", 1, 4, ">I", bytes)
LINES = FileSource("in", "newline", 0, "", bytes)
GENERATOR = GeneratorSource(None)  # type: ignore[arg-type]  # it is only carried along
SINK = TCPSink("h", 2, str)
PLACE = SourceLocation("app.py", 1)
PARTITION = PartitionDeclaration("by_first", min)


def step(placement: StepKind, name: str, *, is_multi: bool = False, **more: Any) -> StepDeclaration:
    computation = ComputationDeclaration(name, len, is_multi)
    return StepDeclaration(placement, computation, PLACE, **more)


def to(name: str, *, is_multi: bool = False) -> StepDeclaration:
    return step(StepKind.FUSED, name, is_multi=is_multi)


def parallel(name: str, *, is_multi: bool = False) -> StepDeclaration:
    return step(StepKind.PARALLEL, name, is_multi=is_multi)


def single(name: str, state: str) -> StepDeclaration:
    return step(StepKind.SINGLE_STATE, name, state=StateDeclaration(state, dict, None))


def keyed(name: str, state: str, *keys: str) -> StepDeclaration:
    declared = StateDeclaration(state, dict, keys)
    return step(StepKind.PARTITIONED_STATE, name, state=declared, partition=PARTITION)


def compiled(
    *steps: StepDeclaration, source: Source = SOURCE, sinks: tuple[Sink, ...] = (SINK,)
) -> Pipeline:
    return compile_all(PipelineDeclaration("p", source, steps, sinks)).pipelines[0]


def compile_all(*pipelines: PipelineDeclaration) -> Application:
    return compile_graph(Graph("app", pipelines))


def stage_names(pipeline: Pipeline) -> list[list[str]]:
    return [[step.name for step in stage.steps] for stage in pipeline.stages]


def exchanges(pipeline: Pipeline) -> list[Exchange]:
    assert pipeline.stages[0].exchange is None
    return [stage.exchange for stage in pipeline.stages if stage.exchange is not None]


def test_a_pipeline_without_steps_has_its_first_stage() -> None:
    assert stage_names(compiled()) == [[]]


def test_to_joins_the_stage_it_stands_behind() -> None:
    pipeline = compiled(to("a"), to("b"), single("c", "s"), to("d"), parallel("e"), to("f"))
    assert stage_names(pipeline) == [["a", "b"], ["c", "d"], ["e", "f"]]


def test_to_parallel_deals_records_round_robin() -> None:
    (exchange,) = exchanges(compiled(to("a"), parallel("b")))
    assert exchange == Exchange(EdgeId(0), ExchangeKind.ROUND_ROBIN)


def test_a_second_deal_of_the_same_records_is_left_out() -> None:
    assert stage_names(compiled(parallel("a"), parallel("b"), to("c"), parallel("d"))) == [
        [],
        ["a", "b", "c", "d"],
    ]


@pytest.mark.parametrize("multi", [parallel("m", is_multi=True), to("m", is_multi=True)])
def test_records_of_a_multi_computation_are_dealt_again(multi: StepDeclaration) -> None:
    assert stage_names(compiled(parallel("a"), multi, parallel("b"))) == [[], ["a", "m"], ["b"]]


def test_records_are_dealt_again_behind_a_state() -> None:
    assert stage_names(compiled(parallel("a"), keyed("b", "s"), parallel("c"))) == [
        [],
        ["a"],
        ["b"],
        ["c"],
    ]


def test_a_single_state_has_one_key_and_no_hashed_partitions() -> None:
    plan = compile_all(PipelineDeclaration("p", SOURCE, (to("a"), single("b", "s")), ()))
    (exchange,) = exchanges(plan.pipelines[0])
    assert exchange == Exchange(EdgeId(0), ExchangeKind.KEYED, state="s")
    assert plan.states == {"s": State("s", dict, (CONSTANT_KEY,), 0)}


def test_a_partitioned_state_keeps_its_keys_in_order() -> None:
    plan = compile_all(PipelineDeclaration("p", SOURCE, (to("a"), keyed("b", "s", "y", "x")), ()))
    (exchange,) = exchanges(plan.pipelines[0])
    assert exchange == Exchange(
        EdgeId(0), ExchangeKind.KEYED, state="s", partition=min, partition_name="by_first"
    )
    assert plan.states == {"s": State("s", dict, ("y", "x"))}


def test_a_payload_travels_only_if_nothing_but_the_decoder_came_before() -> None:
    first, second = exchanges(compiled(keyed("a", "s"), keyed("b", "t")))
    assert first.payload_may_travel
    assert not second.payload_may_travel
    (behind_step,) = exchanges(compiled(to("a"), keyed("b", "s")))
    assert not behind_step.payload_may_travel
    (generated,) = exchanges(compiled(keyed("a", "s"), source=GENERATOR))
    assert not generated.payload_may_travel
    (read,) = exchanges(compiled(keyed("a", "s"), source=LINES))
    assert read.payload_may_travel
    (dealt,) = exchanges(compiled(parallel("a")))
    assert dealt.payload_may_travel


def test_ids_are_dense_over_all_pipelines() -> None:
    plan = compile_all(
        PipelineDeclaration("p", SOURCE, (to("a"), keyed("b", "s", "x")), (SINK, SINK)),
        PipelineDeclaration("q", GENERATOR, (keyed("c", "s", "x"), to("d")), ()),
        PipelineDeclaration("r", GENERATOR, (parallel("e"),), (SINK,)),
    )
    steps = [s for pipeline in plan.pipelines for stage in pipeline.stages for s in stage.steps]
    assert [(s.id, s.name) for s in steps] == [*enumerate("abcde")]
    assert [e.edge for pipeline in plan.pipelines for e in exchanges(pipeline)] == [0, 1, 2]
    assert [pipeline.sinks for pipeline in plan.pipelines] == [(0, 1), (), (2,)]
    assert plan.sinks == (SINK, SINK, SINK)
    assert [*plan.states] == ["s"]


def test_steps_carry_the_users_function() -> None:
    (stage,) = compiled(to("a", is_multi=True)).stages
    (only,) = stage.steps
    assert (only.id, only.function, only.is_multi, only.state) == (StepId(0), len, True, None)
    assert compiled(to("a")).sinks == (SinkId(0),)
