from dataclasses import replace

import pytest

from tests import graphs
from wallaroo.connectors.file import FileSink, FileSource
from wallaroo.connectors.generator import GeneratorSource
from wallaroo.connectors.tcp import TCPSink, TCPSource
from wallaroo.names import EdgeId, SinkId, StepId
from wallaroo.routing.keys import canonical_key
from wallaroo.topology.fingerprint import (
    difference,
    displaced,
    outline,
    without_classes,
    without_partition_counts,
)
from wallaroo.topology.plan import Application, Exchange, ExchangeKind, Pipeline, Stage, State, Step


class Count:
    def initial_value(self) -> int:
        return 0

    def apply(self, value: int) -> int:
        return value + 1


def by_key(record: int) -> int:
    return record


def decode(payload: bytes) -> bytes:
    return payload


COUNT = Step(StepId(0), "count", by_key, is_multi=True, state="s")
KEYED = Exchange(EdgeId(0), ExchangeKind.KEYED, state="s", partition=by_key)
PIPELINE = Pipeline(
    "p",
    TCPSource("h", 7010, 4, ">I", decode),
    (Stage(None, ()), Stage(KEYED, (COUNT,))),
    (SinkId(0),),
)
STATE = State("s", dict, (canonical_key("a"), canonical_key(1), canonical_key(True)))
PLAN = Application("app", (PIPELINE,), {"s": STATE}, (TCPSink("h", 5555, str),))


def with_step(step: Step) -> Application:
    stages = (Stage(None, ()), Stage(KEYED, (step,)))
    return replace(PLAN, pipelines=(replace(PIPELINE, stages=stages),))


def test_the_outline_names_everything_but_addresses() -> None:
    assert outline(PLAN) == (
        "application 'app'",
        "pipeline 'p' with source "
        f"TCPSource(header_length=4, payload_length='>I', decode={__name__}.decode)",
        f"exchange 0 keyed by {__name__}.by_key to state 's'",
        f"step 0 'count' multi {__name__}.by_key with state 's'",
        "end of pipeline 'p' with sinks [0]",
        "sink 0 TCPSink(encode=builtins.str)",
        "state 's' builtins.dict partitions 1024 keys ['a', 1, True]",
    )


def test_a_generator_goes_by_its_class() -> None:
    pipelines = (replace(PIPELINE, source=GeneratorSource(Count())),)
    line = outline(replace(PLAN, pipelines=pipelines))[1]
    assert line == f"pipeline 'p' with source GeneratorSource(generator={__name__}.Count)"


def test_a_file_goes_by_its_path_which_positions_point_into() -> None:
    source = FileSource("in.txt", "newline", 0, "", decode)
    pipelines = (replace(PIPELINE, source=source),)
    lines = outline(replace(PLAN, pipelines=pipelines, sinks=(FileSink("out.txt", str),)))
    assert lines[1] == (
        "pipeline 'p' with source FileSource(path='in.txt', framing='newline', header_length=0, "
        f"payload_length='', decode={__name__}.decode)"
    )
    assert "sink 0 FileSink(path='out.txt', encode=builtins.str)" in lines


def test_another_port_or_host_is_the_same_plan() -> None:
    moved = replace(PIPELINE, source=TCPSource("g", 40001, 4, ">I", decode))
    other = replace(PLAN, pipelines=(moved,), sinks=(TCPSink("g", 1, str),))
    assert outline(other) == outline(PLAN)


@pytest.mark.parametrize(
    "other",
    [
        replace(PLAN, name="other"),
        with_step(replace(COUNT, name="total")),
        with_step(replace(COUNT, is_multi=False)),
        with_step(replace(COUNT, function=len)),
        replace(PLAN, states={"s": replace(STATE, create=list)}),
        replace(PLAN, states={"s": replace(STATE, hashed_partition_count=7)}),
        replace(PLAN, states={"s": replace(STATE, declared_keys=("a", 1, 1))}),
        replace(PLAN, sinks=()),
    ],
)
def test_any_other_plan_has_another_outline(other: Application) -> None:
    assert difference(outline(PLAN), outline(other)) != ""


def test_the_first_difference_is_named() -> None:
    renamed = outline(with_step(replace(COUNT, name="total")))
    assert difference(outline(PLAN), renamed) == (
        f"the plans differ: here is [step 0 'count' multi {__name__}.by_key with state 's'], "
        f"and there is [step 0 'total' multi {__name__}.by_key with state 's']"
    )


def test_a_plan_that_ends_early_differs_too() -> None:
    assert difference(("a", "b"), ("a",)) == (
        "the plans differ: here is [b], and there the plan has ended"
    )
    assert difference(("a",), ("a", "b")) == (
        "the plans differ: there is [b], and here the plan has ended"
    )


def test_equal_plans_have_no_difference() -> None:
    assert difference(outline(PLAN), outline(PLAN)) == ""


def _displaced(then: Application, now: Application) -> str:
    return displaced(outline(then), outline(now))


def _with_pipelines(*names: str) -> Application:
    return replace(PLAN, pipelines=tuple(replace(PIPELINE, name=name) for name in names))


def _with_files(*paths: str | None) -> Application:
    sinks = [TCPSink("h", 5555, str) if path is None else FileSink(path, str) for path in paths]
    return replace(PLAN, sinks=tuple(sinks))


def test_what_is_kept_of_a_pipeline_goes_by_its_place() -> None:
    then = _with_pipelines("p", "q")
    assert _displaced(then, then) == ""
    assert _displaced(then, _with_pipelines("p")) == ""
    assert _displaced(then, _with_pipelines("p", "q", "r")) == ""
    assert _displaced(then, _with_pipelines("q")) == (
        "in the place of [pipeline 'p' with source TCPSource] "
        "is [pipeline 'q' with source TCPSource]"
    )
    generator = replace(PIPELINE, source=GeneratorSource(Count()))
    now = replace(PLAN, pipelines=(generator,))
    assert "is [pipeline 'p' with source GeneratorSource]" in _displaced(PLAN, now)


def test_another_decoder_and_another_step_displace_nothing() -> None:
    source = TCPSource("h", 7010, 4, ">I", bytes)
    now = replace(PLAN, pipelines=(replace(PIPELINE, source=source),))
    assert _displaced(PLAN, now) == ""
    assert _displaced(PLAN, with_step(replace(COUNT, name="other"))) == ""


def test_what_is_kept_of_an_output_file_goes_by_its_place() -> None:
    then = _with_files("a", None, "b")
    assert _displaced(then, then) == ""
    assert _displaced(then, _with_files("a", "c")) == ""
    assert _displaced(then, _with_files("a", None, "b", "c")) == ""
    assert _displaced(then, _with_files("a", "b")) == "sink 2 [FileSink(path='b')] is sink 1 now"
    assert _displaced(then, _with_files("c", None, "b")) == (
        "sink 0 [FileSink(path='a')] has given its place to [FileSink(path='c')] now"
    )


def test_the_class_of_a_state_can_be_left_out_of_an_outline() -> None:
    state = State("s", Count)
    plan = replace(PLAN, states={"s": state, "s t": replace(state, name="s t")})
    changed = replace(plan, states={**plan.states, "s": replace(state, create=dict)})
    assert outline(plan) != outline(changed)
    assert without_classes(outline(plan), ["s"]) == without_classes(outline(changed), ["s"])
    for states in ([], ["s t"], ["t"]):
        assert without_classes(outline(plan), states) != without_classes(outline(changed), states)
    fewer = replace(plan, states={**plan.states, "s": replace(state, hashed_partition_count=8)})
    assert without_classes(outline(plan), ["s"]) != without_classes(outline(fewer), ["s"])


def test_the_number_of_partitions_can_be_left_out_of_an_outline() -> None:
    state = State("s", Count, declared_keys=("a partitions 3 keys ",))
    plan = replace(PLAN, states={"s": state})
    more = plan.with_partitions(4096)
    assert outline(more) != outline(plan)
    assert without_partition_counts(outline(more)) == without_partition_counts(outline(plan))
    others = [replace(state, hashed_partition_count=0), replace(state, declared_keys=())]
    for other in others:
        changed = without_partition_counts(outline(replace(plan, states={"s": other})))
        assert changed != without_partition_counts(outline(plan))


def test_a_state_with_declared_keys_only_has_no_other_partitions() -> None:
    only_declared = State("s", Count, declared_keys=("a",), hashed_partition_count=0)
    plan = replace(PLAN, states={"s": only_declared})
    assert outline(plan.with_partitions(4096)) == outline(plan)


def _graph(*inner: str, sources: tuple[str, ...] = ("a", "b")) -> Application:
    pipelines = [graphs.source(name) for name in sources]
    return graphs.compiled(*pipelines, *(graphs.fed(name, [0]) for name in inner))


def test_inner_pipelines_are_not_displaced_and_displace_nothing() -> None:
    saved = _graph("x", "y")
    for current in (_graph(), _graph("y", "x"), _graph("z"), _graph("x", sources=("a", "b", "c"))):
        assert outline(current) != outline(saved)
        assert _displaced(saved, current) == ""
    assert "in the place of [pipeline 'a'" in _displaced(saved, _graph("x", sources=("b", "a")))


GRAPH = (
    "application 'graph'",
    "pipeline 'a' with source TCPSource(header_length=4, payload_length='>I', "
    "decode=tests.graphs.decode)",
    "step 0 'odd' filter tests.graphs.is_odd",
    "branch 0 'is_small' tests.graphs.is_small",
    "key by tests.graphs.by_seven",
    "end of pipeline 'a' with sinks []",
    "inner pipeline 'b' fed by 'a' branch 1, 'a' branch 0",
    "exchange 0 keyed by the key that they have in space 's'",
    "step 1 'triple' tests.graphs.triple",
    "step 2 'remember' tests.graphs.remember with state 's'",
    "exchange 1 round robin with key by the key that they have",
    "step 3 'plus one' tests.graphs.plus_one",
    "exchange 2 keyed by the key that they have to state 't' in space 's'",
    "step 4 'remember' tests.graphs.remember with state 't'",
    "end of pipeline 'b' with sinks []",
    "state 's' tests.graphs.Seen partitions 1024 keys []",
    "state 't' tests.graphs.Seen partitions 1024 keys [] in space 's'",
)


def test_the_outline_has_a_line_for_each_part_of_a_graph() -> None:
    plan = graphs.compiled(
        graphs.source(
            "a", graphs.to("odd"), key=graphs.BY_SEVEN, branches=(graphs.PREDICATES["small"],)
        ),
        graphs.fed(
            "b",
            [(0, 1), (0, 0)],
            graphs.to("triple"),
            graphs.state("s"),
            graphs.parallel("plus one"),
            graphs.state("t"),
        ),
    )
    assert outline(plan) == GRAPH
