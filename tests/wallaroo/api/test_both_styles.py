"""Each program is written with the builder and as a pipeline: both are the same plan."""

from collections.abc import Callable
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.api.words import decode, encode, first_letter, pair, split, upper
from wallaroo import ApplicationBuilder, Pipeline
from wallaroo.topology.fingerprint import outline


@wallaroo.state_computation("count", dict)
def count(record: str, state: dict[str, int]) -> str:
    return record


@wallaroo.state_computation_multi("repeat", dict)
def repeat(record: str, state: dict[str, int]) -> list[str]:
    return [record]


class Shout:
    def name(self) -> str:
        return "shout"

    def compute(self, record: str) -> str:
        return record.upper()


SOURCE = wallaroo.TCPSourceConfig("127.0.0.1", 0, decode, framing="newline")
SINK = wallaroo.TCPSinkConfig("127.0.0.1", 5555, encode)
OTHER = wallaroo.TCPSinkConfig("127.0.0.1", 5556, encode)
PAYLOAD_KEY = wallaroo.payload_key(offset=0, length=1)
SHOUT = Shout()

# A builder has all methods of these programs too.
Chain = Any

PROGRAMS: dict[str, Callable[[Chain], Chain]] = {
    "nothing": lambda p: p.to_sink(SINK),
    "computations": lambda p: p.to(upper).to(split).to_parallel(SHOUT).to_sink(SINK),
    "functions": lambda p: p.filter(len).map(str.upper).flat_map(str.split).to(len).to_sink(SINK),
    "names": lambda p: p.filter(len).named("not empty").to(upper).named("loud").to_sink(SINK),
    "several sinks": lambda p: p.to(upper).to_sinks([SINK, OTHER]),
    "one state": lambda p: p.to_stateful(pair, dict, "all").to_sink(SINK),
    "partitions": lambda p: p.to_state_partition(pair, dict, "s", first_letter, ["a", "b"]).to_sink(
        SINK
    ),
    "payload key": lambda p: p.to_state_partition(pair, dict, "s", PAYLOAD_KEY).to_sink(SINK),
    "own state": lambda p: p.key_by(first_letter).to(count).to(upper).to(repeat).to_sink(SINK),
    "two keys": lambda p: p.key_by(len).to(count).key_by(first_letter).to(count).to_sink(SINK),
    "a key that stays": lambda p: (
        p.key_by(first_letter).map(upper).to_parallel(upper).to(count).to_sink(SINK)
    ),
    "key of a payload": lambda p: p.key_by(PAYLOAD_KEY).to(count).to_sink(SINK),
    "collected": lambda p: p.to_parallel(upper).collect().to(count).to(repeat).to_sink(SINK),
    "without a key": lambda p: p.to(count).to(repeat).to_sink(SINK),
    "after a partition": lambda p: (
        p.to_state_partition(pair, dict, "s", first_letter).to(count).to_sink(SINK)
    ),
}


def built(program: Callable[[Chain], Chain]) -> wallaroo.Application:
    built: wallaroo.Application = program(
        ApplicationBuilder("app").new_pipeline("lines", SOURCE)
    ).build()
    return built


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_a_builder_and_a_pipeline_give_the_same_plan(program: Callable[[Chain], Chain]) -> None:
    plan = wallaroo.build_application("app", program(wallaroo.source("lines", SOURCE)))
    assert plan == built(program)
    assert outline(plan) == outline(built(program))


def test_several_pipelines_are_the_same_in_both_styles() -> None:
    def source(name: str) -> Pipeline[str]:
        return wallaroo.source(name, SOURCE)

    plan = wallaroo.build_application(
        "app",
        source("a").to_state_partition(pair, dict, "s", first_letter).done(),
        source("b").to_state_partition(pair, dict, "s", first_letter).to_sink(SINK),
    )
    builder = ApplicationBuilder("app")
    builder.new_pipeline("a", SOURCE).to_state_partition(pair, dict, "s", first_letter).done()
    builder.new_pipeline("b", SOURCE).to_state_partition(pair, dict, "s", first_letter)
    assert builder.to_sink(SINK).build() == plan


def test_pipelines_that_are_added_are_the_same_as_those_of_build_application() -> None:
    def ends() -> list[Pipeline[Any]]:
        start = wallaroo.source("lines", SOURCE).key_by(first_letter)
        short, rest = start.to(count).split(len)
        merged = short.map(upper).merge(wallaroo.source("others", SOURCE))
        return [merged.to_sink(SINK), rest.to_sink(SINK), start.to(repeat).to_sink(OTHER)]

    plan = wallaroo.build_application("app", *ends())
    assert ApplicationBuilder("app").add(*ends()).build() == plan
    assert len(plan.sinks) == 2
    assert [pipeline.name for pipeline in plan.pipelines] == ["lines", "others"]


def test_each_use_of_a_sink_in_a_builder_is_another_sink() -> None:
    builder = ApplicationBuilder("app").new_pipeline("a", SOURCE).to_sink(SINK)
    builder.new_pipeline("b", SOURCE).to_sink(SINK)
    assert len(builder.build().sinks) == 2
    ends = [wallaroo.source(name, SOURCE).to_sink(SINK) for name in "ab"]
    assert len(wallaroo.build_application("app", *ends).sinks) == 1


def test_the_way_a_state_gets_its_key_is_not_part_of_it() -> None:
    by_method = built(lambda p: p.to_state_partition(pair, dict, "count", first_letter).done().
                      new_pipeline("q", SOURCE).to_sink(SINK))  # fmt: skip
    by_key = built(lambda p: p.key_by(first_letter).to(count).done().
                   new_pipeline("q", SOURCE).to_sink(SINK))  # fmt: skip
    assert by_method.states == by_key.states
    one, other = by_method.pipelines[0].stages[1], by_key.pipelines[0].stages[1]
    assert one.exchange == other.exchange
