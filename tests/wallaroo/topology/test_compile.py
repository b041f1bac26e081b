from typing import Any

import pytest

from wallaroo.connectors.base import Sink, Source
from wallaroo.connectors.file import FileSource
from wallaroo.connectors.generator import GeneratorSource
from wallaroo.connectors.tcp import TCPSink, TCPSource
from wallaroo.names import EdgeId, SinkId, StepId
from wallaroo.topology import plan as planned
from wallaroo.topology.compile import compile_graph
from wallaroo.topology.graph import (
    ComputationDeclaration,
    Feed,
    Graph,
    Inner,
    PartitionDeclaration,
    PipelineDeclaration,
    PredicateDeclaration,
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
    Flow,
    Pipeline,
    Predicate,
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


def stage_names(pipeline: Flow) -> list[list[str]]:
    return [[step.name for step in stage.steps] for stage in pipeline.stages]


def exchanges(pipeline: Flow) -> list[Exchange]:
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


def another_sink() -> Sink:
    return TCPSink("h", 2, str)


def test_ids_are_dense_over_all_pipelines() -> None:
    sinks = (another_sink(), another_sink())
    plan = compile_all(
        PipelineDeclaration("p", SOURCE, (to("a"), keyed("b", "s", "x")), sinks),
        PipelineDeclaration("q", GENERATOR, (keyed("c", "s", "x"), to("d")), ()),
        PipelineDeclaration("r", GENERATOR, (parallel("e"),), (SINK,)),
    )
    steps = [s for pipeline in plan.pipelines for stage in pipeline.stages for s in stage.steps]
    assert [(s.id, s.name) for s in steps] == [*enumerate("abcde")]
    assert [e.edge for pipeline in plan.pipelines for e in exchanges(pipeline)] == [0, 1, 2]
    assert [pipeline.sinks for pipeline in plan.pipelines] == [(0, 1), (), (2,)]
    assert plan.sinks == (SINK, SINK, SINK)
    assert [*plan.states] == ["s"]


def test_the_same_sink_object_is_one_sink_and_equal_objects_are_two() -> None:
    plan = compile_all(
        PipelineDeclaration("p", SOURCE, (), (SINK, another_sink())),
        PipelineDeclaration("q", GENERATOR, (), (SINK, SINK)),
    )
    assert [pipeline.sinks for pipeline in plan.pipelines] == [(0, 1), (0,)]
    assert plan.sinks == (SINK, SINK)


def test_steps_carry_the_users_function() -> None:
    (stage,) = compiled(to("a", is_multi=True)).stages
    (only,) = stage.steps
    assert (only.id, only.function, only.is_multi, only.state) == (StepId(0), len, True, None)
    assert compiled(to("a")).sinks == (SinkId(0),)


# Pipelines fed by pipelines


def key_by(name: str, state: str | None = None, **more: Any) -> StepDeclaration:
    declared = None if state is None else StateDeclaration(state, dict, ())
    return step(StepKind.FUSED, name, state=declared, partition=PARTITION, **more)


def with_state(name: str, state: str) -> StepDeclaration:
    return step(StepKind.FUSED, name, state=StateDeclaration(state, dict, ()))


def source(name: str, *steps: StepDeclaration, **more: Any) -> PipelineDeclaration:
    return PipelineDeclaration(name, SOURCE, steps, (), **more)


def fed(name: str, feeds: list[int], *steps: StepDeclaration, **more: Any) -> PipelineDeclaration:
    return PipelineDeclaration(name, Inner(tuple(map(Feed, feeds))), steps, (), **more)


def edges(flow: Flow) -> list[tuple[ExchangeKind, str, bool]]:
    return [(each.kind, each.space, each.keeps_key) for each in exchanges(flow)]


KEYED, ROUND_ROBIN = ExchangeKind.KEYED, ExchangeKind.ROUND_ROBIN


def test_pipelines_with_a_source_come_first_and_feeds_follow_them() -> None:
    plan = compile_all(
        source("a", to("x")),
        fed("after a", [0], to("y")),
        source("b"),
        fed("both", [1, 2]),
    )
    assert [flow.name for flow in plan.flows] == ["a", "b", "after a", "both"]
    after_a, both = plan.inner
    assert after_a.feeds == (planned.Feed(0),)
    assert both.feeds == (planned.Feed(2), planned.Feed(1))


def test_ids_follow_the_order_of_declaration() -> None:
    late, early = another_sink(), another_sink()
    plan = compile_all(
        source("a", to("x")),
        PipelineDeclaration("after a", Inner((Feed(0),)), (parallel("y"),), (early,)),
        PipelineDeclaration("b", SOURCE, (parallel("z"),), (late,)),
    )
    assert [pipeline.sinks for pipeline in plan.flows] == [(), (1,), (0,)]
    steps = [s for flow in plan.flows for stage in flow.stages for s in stage.steps]
    assert [(s.id, s.name) for s in steps] == [(0, "x"), (2, "z"), (1, "y")]


def test_branches_are_kept_with_their_predicates() -> None:
    plan = compile_all(
        source("a", branches=(PredicateDeclaration("is_big", bool),)),
        PipelineDeclaration("big", Inner((Feed(0, 0),)), (), ()),
        PipelineDeclaration("others", Inner((Feed(0, 1),)), (), ()),
    )
    assert plan.pipelines[0].branches == (Predicate("is_big", bool),)
    assert [flow.feeds for flow in plan.inner] == [(planned.Feed(0, 0),), (planned.Feed(0, 1),)]


def test_the_first_step_behind_a_key_comes_after_an_exchange_and_no_other() -> None:
    plan = compile_all(
        source("a", key_by("x"), to("y"), with_state("b", "s"), with_state("c", "t"))
    )
    assert stage_names(plan.pipelines[0]) == [[], ["x", "y", "b", "c"]]
    assert edges(plan.pipelines[0]) == [(KEYED, "s", False)]
    assert {name: state.space for name, state in plan.states.items()} == {"s": "s", "t": "s"}


def test_a_keyed_exchange_without_a_state_has_a_space_of_its_own() -> None:
    plan = compile_all(source("a", key_by("x")), source("b", key_by("x")))
    spaces = [edges(pipeline)[0][1] for pipeline in plan.pipelines]
    assert all(spaces)
    assert spaces[0] != spaces[1]


def test_a_state_behind_a_partitioned_state_has_its_declared_keys() -> None:
    plan = compile_all(source("a", keyed("x", "s", "k", "l"), with_state("y", "t")))
    assert stage_names(plan.pipelines[0]) == [[], ["x", "y"]]
    assert plan.states["t"] == State("t", dict, ("k", "l"), shared_space="s")


def test_a_state_behind_one_key_has_one_partition() -> None:
    collect = step(StepKind.FUSED, "x", partition=PartitionDeclaration("one key"))
    plan = compile_all(source("a", collect, with_state("y", "s")))
    assert plan.states["s"] == State("s", dict, (CONSTANT_KEY,), 0)


def test_a_key_is_kept_through_a_round_robin_exchange() -> None:
    plan = compile_all(source("a", key_by("x"), parallel("y"), to("z"), with_state("b", "s")))
    assert stage_names(plan.pipelines[0]) == [[], ["x"], ["y", "z"], ["b"]]
    assert edges(plan.pipelines[0]) == [
        (KEYED, "s", False),
        (ROUND_ROBIN, "", True),
        (KEYED, "s", True),
    ]


def test_a_key_is_given_before_a_round_robin_exchange() -> None:
    keyed_parallel = step(StepKind.PARALLEL, "x", partition=PARTITION)
    plan = compile_all(source("a", keyed_parallel, with_state("b", "s")))
    first, second = exchanges(plan.pipelines[0])
    assert (first.kind, first.partition) == (ROUND_ROBIN, min)
    assert (second.kind, second.space, second.keeps_key) == (KEYED, "s", True)


def test_the_key_of_a_partitioned_state_does_not_pass_a_round_robin_exchange() -> None:
    plan = compile_all(source("a", keyed("x", "s"), parallel("y")))
    assert edges(plan.pipelines[0]) == [(KEYED, "s", False), (ROUND_ROBIN, "", False)]


def test_the_tail_of_a_merge_of_keyed_pipelines_has_one_exchange() -> None:
    plan = compile_all(
        source("a", key=PARTITION),
        source("b", key=PARTITION),
        fed("both", [0, 1], with_state("x", "s"), with_state("y", "t")),
    )
    assert plan.pipelines[0].key == planned.EndKey("by_first", min)
    (both,) = plan.inner
    assert both.has_key
    assert stage_names(both) == [[], ["x", "y"]]
    assert edges(both) == [(KEYED, "s", True)]


def test_merged_records_that_are_at_one_owner_need_no_exchange() -> None:
    plan = compile_all(
        source("a", key=PARTITION),
        fed("left", [0], with_state("x", "s")),
        fed("right", [0], with_state("y", "t")),
        fed("both", [1, 2], with_state("z", "u")),
    )
    left, right, both = plan.inner
    assert edges(left) == edges(right) == [(KEYED, "s", True)]
    assert edges(both) == []
    assert {state.space for state in plan.states.values()} == {"s"}


def test_merged_records_at_different_owners_travel_before_the_next_state_only() -> None:
    plan = compile_all(
        source("a", key_by("x", "s")),
        source("b", key_by("y", "t")),
        fed("both", [0, 1], to("m"), with_state("z", "u")),
    )
    (both,) = plan.inner
    assert stage_names(both) == [["m"], ["z"]]
    assert edges(both) == [(KEYED, "s", True)]


def test_a_merge_with_records_that_have_no_key_has_none() -> None:
    plan = compile_all(
        source("a", key=PARTITION), source("b"), fed("both", [0, 1], to("m"), key_by("n", "s"))
    )
    (both,) = plan.inner
    assert not both.has_key
    assert stage_names(both) == [["m"], ["n"]]


def test_a_space_with_one_key_does_not_take_the_keys_of_others() -> None:
    plan = compile_all(
        source("a", key=PartitionDeclaration("one key")),
        source("b", key=PARTITION),
        fed("both", [0, 1], with_state("x", "s")),
    )
    assert plan.states["s"] == State("s", dict)


def test_payloads_travel_into_inner_pipelines_as_long_as_only_the_decoder_is_before_them() -> None:
    plan = compile_all(
        source("a"),
        fed("one", [0], parallel("x")),
        fed("two", [0], to("y"), parallel("z")),
        source("b", to("w")),
        fed("both", [0, 3], parallel("v")),
    )
    travels = [[each.payload_may_travel for each in exchanges(flow)] for flow in plan.inner]
    assert travels == [[True], [False], [False]]
    assert [flow.decoder for flow in plan.inner] == [bytes, bytes, None]
