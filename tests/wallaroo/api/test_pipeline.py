"""Pipelines as users chain them: what they declare, and what is said of mistakes."""

from typing import Any

import pytest

import wallaroo
from tests.wallaroo.api.words import decode, encode, first_letter, pair, split, upper
from wallaroo import TCPSinkConfig, TCPSourceConfig
from wallaroo.api.drafts import drafts_of
from wallaroo.api.pipeline import Pipeline, node_of, source
from wallaroo.api.validation import application_mistakes
from wallaroo.topology.graph import Feed, PipelineDeclaration, SourceLocation, StepKind

HERE = SourceLocation("app.py", 1)


class Count:
    value = 0


@wallaroo.state_computation("count", Count)
def count(record: str, state: Count) -> str:
    state.value += 1
    return f"{record} {state.value}"


@wallaroo.state_computation_multi("repeat", state=Count)
def repeat(record: str, state: Count) -> list[str]:
    state.value += 1
    return [record] * state.value


def is_error(record: str) -> bool:
    return record.startswith("error")


def is_long(record: str) -> bool:
    return len(record) > 80


def tcp(port: int = 0) -> TCPSourceConfig[str]:
    return TCPSourceConfig("127.0.0.1", port, decode, framing="newline")


SINK = TCPSinkConfig("127.0.0.1", "5555", encode)
OTHER = TCPSinkConfig("127.0.0.1", "5556", encode)


def lines() -> Pipeline[str]:
    return source("lines", tcp())


def drafted(*ends: Pipeline[Any]) -> tuple[list[PipelineDeclaration], list[str]]:
    drafts, mistakes = drafts_of([node_of(end) for end in ends])
    mistakes += application_mistakes(drafts, HERE)
    return [] if mistakes else [draft.declaration() for draft in drafts], mistakes


def declared(*ends: Pipeline[Any]) -> list[PipelineDeclaration]:
    pipelines, mistakes = drafted(*ends)
    assert mistakes == []
    return pipelines


def names(pipeline: PipelineDeclaration) -> list[str]:
    return [step.computation.name for step in pipeline.steps]


def test_a_chain_of_steps_is_one_pipeline() -> None:
    (pipeline,) = declared(
        lines()
        .flat_map(str.split)
        .filter(is_long)
        .map(len)
        .to(lambda number: number + 1)
        .to_parallel(hex)
        .to_stateful(pair, dict, "all")
        .to_state_partition(pair, dict, "letters", first_letter)
        .to_sinks([SINK, OTHER])
    )
    assert pipeline.name == "lines"
    assert names(pipeline) == [
        "split", "is_long", "len", "<lambda>", "hex", "pair", "pair"
    ]  # fmt: skip
    assert [step.computation.is_multi for step in pipeline.steps] == [True] + [False] * 6
    assert [step.computation.is_filter for step in pipeline.steps] == [False, True] + [False] * 5
    assert [step.placement for step in pipeline.steps[3:]] == [
        StepKind.FUSED,
        StepKind.PARALLEL,
        StepKind.SINGLE_STATE,
        StepKind.PARTITIONED_STATE,
    ]
    assert len(pipeline.sinks) == 2


def test_a_pipeline_never_changes() -> None:
    start = lines()
    longer = start.map(upper)
    assert longer is not start
    assert start.clone() is start
    (pipeline,) = declared(start.to_sink(SINK))
    assert names(pipeline) == []


def test_decorated_functions_may_be_mapped_and_filtered() -> None:
    (pipeline,) = declared(lines().map(upper).filter(upper).flat_map(split).to_sink(SINK))
    assert names(pipeline) == ["upper", "upper", "split"]
    assert [step.computation.function for step in pipeline.steps] == [
        upper.function,
        upper.function,
        split.function,
    ]


def test_a_step_with_a_state_of_its_own_uses_the_key_of_its_records() -> None:
    (pipeline,) = declared(lines().key_by(first_letter).to(count).to(repeat).to_sink(SINK))
    first, second = pipeline.steps
    assert first.placement is second.placement is StepKind.FUSED
    assert first.partition is not None
    assert first.partition.function is first_letter.function
    assert second.partition is None
    assert first.state is not None
    assert second.state is not None
    assert (first.state.name, first.state.create, first.state.keys) == ("count", Count, ())
    assert (second.state.name, second.computation.is_multi) == ("repeat", True)
    assert first.computation.always_changes
    assert second.computation.always_changes


def test_each_use_has_a_state_of_its_own() -> None:
    keyed = lines().to_state_partition(pair, dict, "count 2", first_letter)
    (pipeline,) = declared(keyed.to(count).to(count).to(count).to_sink(SINK))
    states = [step.state.name for step in pipeline.steps if step.state]
    assert states == ["count 2", "count", "count 3", "count 4"]


def test_a_name_is_that_of_the_last_step_and_of_its_own_state() -> None:
    (pipeline,) = declared(
        lines()
        .filter(lambda line: True)
        .named("not empty")
        .key_by(first_letter)
        .to(count)
        .named("votes")
        .to_stateful(pair, dict, "all")
        .named("in all")
        .to_sink(SINK)
    )
    assert names(pipeline) == ["not empty", "votes", "in all"]
    assert [step.state.name for step in pipeline.steps if step.state] == ["votes", "all"]


def test_without_a_key_there_is_one_state_for_all_records() -> None:
    (pipeline,) = declared(lines().to(count).to_sink(SINK))
    (step,) = pipeline.steps
    assert step.placement is StepKind.SINGLE_STATE
    assert step.state is not None
    assert step.state.keys is None
    (collected,) = declared(lines().collect().to(count).to_sink(SINK))
    (step,) = collected.steps
    assert step.placement is StepKind.FUSED
    assert step.partition is not None
    assert (step.partition.name, step.partition.function) == ("", None)


@pytest.mark.parametrize("key", [first_letter, lambda line: line[0], str.lower])
def test_a_key_is_any_function_of_a_record(key: Any) -> None:
    (pipeline,) = declared(lines().key_by(key).map(upper).to_sink(SINK))
    partition = pipeline.steps[0].partition
    assert partition is not None
    assert partition.function is getattr(key, "function", key)


def test_the_last_key_before_a_step_counts() -> None:
    (pipeline,) = declared(lines().key_by(len).key_by(first_letter).to(count).to_sink(SINK))
    partition = pipeline.steps[0].partition
    assert partition is not None
    assert partition.name == "first_letter"


def test_a_key_before_a_sink_changes_nothing() -> None:
    (pipeline,) = declared(lines().key_by(first_letter).to_sink(SINK))
    assert pipeline.key is None
    assert pipeline.steps == ()


def test_a_key_of_key_by_passes_to_parallel_and_others_do_not() -> None:
    (keyed,) = declared(
        lines().key_by(first_letter).map(upper).to_parallel(upper).to(count).to_sink(SINK)
    )
    assert keyed.steps[-1].placement is StepKind.FUSED
    partitioned = lines().to_state_partition(pair, dict, "s", first_letter)
    (pipeline,) = declared(partitioned.to_parallel(upper).to(count).to_sink(SINK))
    assert pipeline.steps[-1].placement is StepKind.SINGLE_STATE
    (near,) = declared(partitioned.to(count).to_sink(SINK))
    assert near.steps[-1].placement is StepKind.FUSED


def test_a_prefix_that_is_used_twice_runs_once_and_feeds_both() -> None:
    words = lines().flat_map(str.split)
    prefix, loud, lengths = declared(words.map(upper).to_sink(SINK), words.map(len).to_sink(OTHER))
    assert (prefix.name, names(prefix), prefix.sinks) == ("lines", ["split"], ())
    assert loud.source == lengths.source
    assert loud.source.feeds == (Feed(0),)  # type: ignore[union-attr]
    assert [loud.name, lengths.name] == ["lines > upper", "lines > len"]


def test_a_pipeline_may_have_a_sink_and_go_on() -> None:
    words = lines().flat_map(str.split)
    prefix, loud = declared(words.to_sink(SINK), words.map(upper).to_sink(OTHER))
    assert len(prefix.sinks) == len(loud.sinks) == 1
    both = declared(words.to_sink(SINK), words.to_sink(OTHER), words.done())
    assert [len(pipeline.sinks) for pipeline in both] == [2]


def test_a_key_at_the_end_of_a_prefix_is_that_of_all_it_feeds() -> None:
    keyed = lines().map(upper).key_by(first_letter)
    prefix, first, second = declared(keyed.to(count).to_sink(SINK), keyed.to(repeat).to_sink(OTHER))
    assert prefix.key is not None
    assert prefix.key.function is first_letter.function
    for pipeline in (first, second):
        assert pipeline.steps[0].placement is StepKind.FUSED
        assert pipeline.steps[0].partition is None


def test_a_pipeline_that_only_gives_a_key_is_named_after_it() -> None:
    start = lines()
    keyed, collected = start.key_by(first_letter), start.collect()
    pipelines = declared(
        keyed.to(count).to_sink(SINK),
        keyed.to(repeat).to_sink(SINK),
        collected.to(count).to_sink(OTHER),
        collected.to(repeat).to_sink(OTHER),
    )
    assert [pipeline.name for pipeline in pipelines if not pipeline.steps] == [
        "lines",
        "lines > key_by",
        "lines > collect",
    ]


def test_a_merge_is_fed_by_all_its_pipelines() -> None:
    letters = source("letters", tcp(1))
    one, two, merged = declared(
        lines().map(upper).merge(letters.filter(is_long)).map(len).to_sink(SINK)
    )
    assert [one.name, two.name, merged.name] == ["lines", "letters", "lines + letters"]
    assert merged.source.feeds == (Feed(0), Feed(1))  # type: ignore[union-attr]
    assert names(merged) == ["len"]


def test_pipelines_of_one_source_may_be_merged_again() -> None:
    start = lines()
    prefix, long, errors, merged = declared(
        start.filter(is_long).merge(start.filter(is_error)).to_sink(SINK)
    )
    assert [long.name, errors.name] == ["lines > is_long", "lines > is_error"]
    assert merged.name == "lines > is_long + lines > is_error"
    assert merged.source.feeds == (Feed(1), Feed(2))  # type: ignore[union-attr]
    assert len(merged.sinks) == 1
    assert prefix.sinks == ()


def test_a_merge_of_keyed_pipelines_has_their_keys() -> None:
    letters = source("letters", tcp(1)).key_by(first_letter)
    *fed, merged = declared(lines().key_by(first_letter).merge(letters).to(count).to_sink(SINK))
    assert [pipeline.key is not None for pipeline in fed] == [True, True]
    assert merged.steps[0].placement is StepKind.FUSED
    assert merged.steps[0].partition is None


def test_a_split_has_one_branch_more_than_predicates() -> None:
    errors, long, rest = lines().map(upper).split(is_error, is_long)
    before, first, second, third = declared(
        errors.map(len).to_sink(SINK), long.to_sink(OTHER), rest.done()
    )
    assert [predicate.function for predicate in before.branches] == [is_error, is_long]
    assert [each.source.feeds for each in (first, second, third)] == [  # type: ignore[union-attr]
        (Feed(0, 0),), (Feed(0, 1),), (Feed(0, 2),)
    ]  # fmt: skip
    assert [each.name for each in (first, second, third)] == [
        "lines > is_error",
        "lines > is_long",
        "lines > others",
    ]
    assert second.steps == ()
    assert len(second.sinks) == 1


def test_a_branch_may_end_without_a_sink() -> None:
    errors, rest = lines().split(is_error)
    before, first, last = declared(errors.to_sink(SINK), rest.done())
    assert len(before.branches) == 1
    assert (first.name, last.name) == ("lines > is_error", "lines > others")
    assert last.sinks == ()


def test_a_branch_may_feed_several_pipelines_and_a_merge() -> None:
    errors, rest = lines().split(lambda line: line == "x")
    merged = errors.map(len).merge(rest)
    pipelines = declared(
        merged.to_sink(SINK), errors.to_sink(OTHER), rest.map(upper).to_sink(OTHER)
    )
    assert [pipeline.name for pipeline in pipelines] == [
        "lines",
        "lines > branch 0 > sinks",
        "lines > branch 0 > len",
        "lines > branch 0 > len + lines",
        "lines > others > upper",
    ]
    assert pipelines[3].source.feeds == (Feed(2), Feed(0, 1))  # type: ignore[union-attr]


def test_a_split_beside_another_step_is_a_pipeline_of_its_own() -> None:
    start = lines()
    errors, rest = start.split(is_error)
    before, branches, first, loud, last = declared(
        errors.to_sink(SINK), start.map(upper).to_sink(OTHER), rest.done()
    )
    assert before.branches == ()
    assert (branches.name, len(branches.branches)) == ("lines > split", 1)
    assert first.source.feeds == (Feed(1, 0),)  # type: ignore[union-attr]
    assert last.source.feeds == (Feed(1, 1),)  # type: ignore[union-attr]
    assert loud.source.feeds == (Feed(0),)  # type: ignore[union-attr]


def test_a_sink_of_several_pipelines_is_one_sink() -> None:
    start = lines()
    pipelines = declared(start.map(upper).to_sink(SINK), start.map(len).to_sinks([OTHER, SINK]))
    (one,), (other, again) = pipelines[1].sinks, pipelines[2].sinks
    assert again is one
    assert other is not one


def test_what_0_6_looks_at_is_there() -> None:
    start = lines().merge(source("letters", tcp(1)))
    ended = start.to_sinks([SINK, OTHER])
    assert start._sources() == ended._sources() == ["lines", "letters"]
    assert (start._sinks(), ended._sinks()) == ([], [SINK, OTHER])
    assert (start._is_closed(), ended._is_closed()) == (False, True)
    assert Pipeline.from_source("lines", tcp())._sources() == ["lines"]
