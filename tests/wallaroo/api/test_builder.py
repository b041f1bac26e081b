from typing import Any

import pytest

import wallaroo
from tests.wallaroo.api.letters import SINK, SOURCE, by_letter, count, opened
from tests.wallaroo.api.words import mistakes_of, split, upper
from wallaroo import ApplicationBuilder
from wallaroo.topology.plan import ExchangeKind


def mistake_of(builder: ApplicationBuilder) -> str:
    (mistake,) = mistakes_of(builder.build)
    assert mistake.startswith("test_builder.py:")
    return mistake


def test_a_chain_of_calls_builds_a_plan() -> None:
    plan = (
        opened()
        .to(upper)
        .to_parallel(split)
        .to_state_partition(count, dict, "letters", by_letter, ["a", "b"])
        .to_stateful(count, dict, "total")
        .to_sinks([SINK, SINK])
        .build()
    )
    assert plan.name == "app"
    (pipeline,) = plan.pipelines
    steps = [step for stage in pipeline.stages for step in stage.steps]
    assert [step.name for step in steps] == ["upper", "split", "count", "count"]
    assert [step.function for step in steps] == [
        upper.function,
        split.function,
        count.function,
        count.function,
    ]
    assert [step.is_multi for step in steps] == [False, True, False, False]
    assert plan.states["letters"].declared_keys == ("a", "b")
    assert pipeline.sinks == (0, 1)
    keyed = pipeline.stages[2].exchange
    assert keyed is not None
    assert keyed.kind is ExchangeKind.KEYED
    assert (keyed.partition, keyed.partition_name) == (by_letter.function, "by_letter")


def test_pipelines_may_share_a_state_and_only_one_needs_a_sink() -> None:
    builder = opened().to_state_partition(count, dict, "s", by_letter, ["a", "b"]).done()
    builder.new_pipeline("q", SOURCE).to_state_partition(
        count, dict, "s", by_letter, ("b", "a")
    ).to_sink(SINK)
    plan = builder.build()
    assert plan.states["s"].declared_keys == ("a", "b")
    assert plan.pipelines[0].sinks == ()


def test_building_twice_gives_the_same_plan() -> None:
    builder = opened().to(upper).to_sink(SINK)
    assert builder.build() == builder.build()


def test_no_method_but_build_raises() -> None:
    nonsense: Any = object()
    builder = ApplicationBuilder(nonsense).to(nonsense).done()
    builder.new_pipeline(nonsense, nonsense).to(nonsense).to_parallel(nonsense)
    builder.to_stateful(nonsense, nonsense, nonsense)
    builder.to_state_partition(nonsense, nonsense, nonsense, nonsense, nonsense)
    builder.to_sinks(nonsense).to_sink(nonsense)
    assert len(mistakes_of(builder.build)) > 15


def test_each_mistake_has_the_line_of_its_call() -> None:
    builder = ApplicationBuilder("app")
    builder.to(upper)
    line = test_each_mistake_has_the_line_of_its_call.__code__.co_firstlineno + 2
    assert mistakes_of(builder.build)[0] == (
        f"test_builder.py:{line}: to() comes before any pipeline; call new_pipeline() first"
    )


def test_each_call_of_a_chain_has_a_line_of_its_own() -> None:
    stateful: Any = count
    # fmt: off
    builder = (opened()
        .to(stateful)
        .to_parallel(stateful)
        .to_sink(SINK))
    # fmt: on
    line = test_each_call_of_a_chain_has_a_line_of_its_own.__code__.co_firstlineno
    places = [mistake.split(": ")[0] for mistake in mistakes_of(builder.build)]
    assert places == [f"test_builder.py:{line + 4}", f"test_builder.py:{line + 5}"]


def test_a_mistaken_object_in_several_places_is_reported_once() -> None:
    @wallaroo.computation("wrong")
    def wrong(one: int, two: int) -> int:
        return one

    step: Any = wrong
    assert "wrong, decorated with" in mistake_of(opened().to(step).to(step).to_sink(SINK))


@pytest.mark.parametrize("method", ["to_sink", "to_sinks", "done"])
def test_a_step_after_the_end_of_its_pipeline_is_a_mistake(method: str) -> None:
    builder = opened().to_sink(SINK).new_pipeline("q", SOURCE)
    arguments: dict[str, list[Any]] = {"to_sink": [SINK], "to_sinks": [[SINK]], "done": []}
    getattr(builder, method)(*arguments[method]).to(upper)
    assert f"to() comes after {method}() has ended pipeline 'q'" in mistake_of(builder)


def test_a_second_end_is_a_mistake() -> None:
    assert "done() comes after to_sink()" in mistake_of(opened().to_sink(SINK).done())


@pytest.mark.parametrize(
    ("configs", "seen"),
    [([], "to_sinks() has no sink"), (SINK, "to_sinks() has an object of class TCPSinkConfig")],
)
def test_to_sinks_takes_a_list_with_something_in_it(configs: Any, seen: str) -> None:
    assert seen in mistake_of(opened().to_sinks(configs))


def test_a_sink_may_have_port_and_host_of_another() -> None:
    builder = opened().to_sink(SINK).new_pipeline("q", SOURCE).to_sink(SINK)
    assert len(builder.build().sinks) == 2


@pytest.mark.parametrize("name", ["", None, 5])
def test_names_are_checked_wherever_they_are_given(name: Any) -> None:
    builder = ApplicationBuilder(name).new_pipeline(name, SOURCE).to_stateful(count, dict, name)
    mistakes = mistakes_of(builder.to_sink(SINK).build)
    subjects = ["the application name is", "the pipeline name is", "state_name is"]
    assert len(mistakes) == 3
    assert all(subject in mistake for subject, mistake in zip(subjects, mistakes, strict=True))


def test_every_sink_of_a_list_is_checked() -> None:
    sinks: Any = [SOURCE, SINK, 5]
    first, second = mistakes_of(opened().to_sinks(sinks).build)
    assert "sink_configs[0] of to_sinks() is the source TCPSourceConfig" in first
    assert "sink_configs[2] of to_sinks() is the int 5" in second
