"""Calls whose arguments do not fit are mistakes like all others: collected, with file and line."""

from collections.abc import Callable
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.api.words import decode, encode, mistakes_of
from wallaroo import TCPSinkConfig, TCPSourceConfig

SINK = TCPSinkConfig("127.0.0.1", "5555", encode)
SOURCE = TCPSourceConfig("127.0.0.1", 0, decode, framing="newline")
ANY: Any = wallaroo
Declared = Callable[[], Any]


@wallaroo.state_computation("count~held", dict)
def count(record: str, state: dict[str, int]) -> str:
    return record


def lines(name: str = "lines") -> Any:
    return wallaroo.source(name, SOURCE)


def builder() -> Any:
    return wallaroo.ApplicationBuilder("app")


def mistake_of(*ends: Any) -> str:
    (mistake,) = mistakes_of(lambda: wallaroo.build_application("app", *ends))
    assert mistake.startswith("test_wrong_calls.py:")
    return mistake


@pytest.mark.parametrize(
    "call", ["merge", "to", "filter", "map", "flat_map", "key_by", "to_parallel", "named"]
)
def test_a_call_without_its_argument_is_a_mistake_of_build(call: str) -> None:
    mistake = mistake_of(getattr(lines(), call)().to_sink(SINK))
    assert f"{call}() is missing a required argument: " in mistake
    assert "; its arguments are (" in mistake


def test_an_end_with_the_wrong_arguments_ends_its_pipeline_all_the_same() -> None:
    assert "to_sink() has too many positional arguments" in mistake_of(lines().to_sink(SINK, SINK))
    keyword = mistake_of(lines().to_sink(sink=SINK))
    assert keyword.endswith("; its arguments are (sink_config)")


def test_a_source_without_a_config_is_a_mistake_of_build() -> None:
    said = mistake_of(ANY.source("lines").to_sink(SINK))
    assert "source() is missing a required argument: 'source_config'" in said


def test_calls_of_the_builder_are_checked_in_the_same_way() -> None:
    declared = mistakes_of(
        lambda: builder().new_pipeline("lines").to().to_stateful(count).to_sink().build()
    )
    said = "\n".join(declared)
    for call in ("new_pipeline", "to", "to_stateful", "to_sink"):
        assert f"{call}() is missing a required argument" in said
    assert len(declared) == 4


def test_a_type_error_of_something_else_is_not_taken_for_a_wrong_call() -> None:

    class List(list[Any]):
        def __iter__(self) -> Any:
            raise TypeError("mine")

    with pytest.raises(TypeError, match="mine"):
        lines().to_sinks(List([SINK]))


@pytest.mark.parametrize(
    ("declare", "remedy"),
    [
        (
            lambda: ANY.build_application("app", [lines().to_sink(SINK)]),
            "build_application() has a list of pipelines; give them one by one: "
            "build_application(name, *pipelines)",
        ),
        (
            lambda: builder().add([lines().to_sink(SINK)]).build(),
            "add() has a list of pipelines; give them one by one: add(*pipelines)",
        ),
        (
            lambda: ANY.build_application("app", lines().merge([lines("more")]).to_sink(SINK)),
            "merge() has a list; give the pipelines one by one: merge(*all)",
        ),
        (
            lambda: ANY.build_application("app", lines().split([bool])[0].to_sink(SINK)),
            "split() has a list; give the functions one by one: split(*all)",
        ),
    ],
)
def test_a_list_instead_of_several_arguments_gets_one_sentence(
    declare: Declared, remedy: str
) -> None:
    (mistake,) = mistakes_of(declare)
    assert mistake.startswith("test_wrong_calls.py:")
    assert mistake.endswith(remedy)


def test_an_application_without_pipelines_names_the_line_of_the_user() -> None:
    (mistake,) = mistakes_of(lambda: ANY.build_application("app"))
    assert mistake.startswith("test_wrong_calls.py:")


def test_states_of_users_do_not_have_the_names_of_held_records() -> None:
    said = mistake_of(lines().key_by(len).to(count).to_sink(SINK))
    assert "the state name 'count~held' ends with ~held" in said
