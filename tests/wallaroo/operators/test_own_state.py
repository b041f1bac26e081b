"""State computations that return their result alone: every call counts as a change."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.operators.mesh import Mesh, application, payloads, tcp_sink
from wallaroo.topology.plan import Application, Step


def plan_of(function: Callable[..., Any], *, is_multi: bool = False) -> Application:
    """Return a plan with one state for each first letter; the step returns its result alone."""
    decorate: Any = wallaroo.state_computation_multi if is_multi else wallaroo.state_computation
    plan = (
        application()
        .to_state_partition(
            decorate("keep")(function), list, "words", wallaroo.partition(lambda word: word[0])
        )
        .to_sink(tcp_sink())
        .build()
    )
    (pipeline,) = plan.pipelines
    first, keyed = pipeline.stages
    steps = tuple(always_changes(step) for step in keyed.steps)
    stages = (first, replace(keyed, steps=steps))
    return replace(plan, pipelines=(replace(pipeline, stages=stages),))


def always_changes(step: Step) -> Step:
    return replace(step, always_changes=True)


def run(plan: Application, words: str, *, tracks_changes: bool = False) -> Mesh:
    mesh = Mesh(plan, tracks_changes=tracks_changes)
    mesh.feed(payloads(words))
    return mesh


def remember(word: str, seen: list[str]) -> str | None:
    seen.append(word)
    return f"{word}{len(seen)}" if len(seen) != 2 else None


@pytest.mark.parametrize("tracks_changes", [False, True])
def test_the_result_goes_on_and_none_emits_nothing(tracks_changes: bool) -> None:
    mesh = run(plan_of(remember), "ab ac ad b", tracks_changes=tracks_changes)
    assert mesh.lines() == ["ab1", "ad3", "b1"]
    assert mesh.states("words") == {"a": ["ab", "ac", "ad"], "b": ["b"]}


def test_every_call_counts_as_a_change() -> None:
    mesh = run(plan_of(lambda word, seen: None), "a b a", tracks_changes=True)
    (flow,) = mesh.flows.values()
    changes = flow.states["words"].changes
    assert changes is not None
    assert sorted(changes.changed) == ["a", "b"]


@pytest.mark.parametrize("result", [("x", 1), ("x", True), ("x",), ["x", "y"], (1, 2, 3)])
def test_a_tuple_or_list_is_an_ordinary_result(result: Any) -> None:
    assert run(plan_of(lambda word, seen: result), "a").lines() == [str(result)]


def forget_upper(word: str, seen: list[str]) -> Any:
    seen.append(word)
    return (word, wallaroo.DELETE) if word[1:].isupper() else len(seen)


@pytest.mark.parametrize("tracks_changes", [False, True])
def test_a_result_with_delete_goes_on_and_deletes_the_state(tracks_changes: bool) -> None:
    mesh = run(plan_of(forget_upper), "ab ac aX ad b", tracks_changes=tracks_changes)
    assert mesh.lines() == ["1", "2", "aX", "1", "1"]
    assert mesh.states("words") == {"a": ["ad"], "b": ["b"]}


def test_none_with_delete_emits_nothing_and_deletes_the_state() -> None:
    mesh = run(plan_of(lambda word, seen: (None, wallaroo.DELETE)), "ab ac")
    assert (mesh.lines(), mesh.states("words"), mesh.failures()) == ([], {}, [])


def test_a_multi_computation_returns_its_list_alone_or_with_delete() -> None:
    def several(word: str, seen: list[str]) -> Any:
        seen.append(word)
        results = [word, str(len(seen))]
        return (results, wallaroo.DELETE) if word.isupper() else results

    mesh = run(plan_of(several, is_multi=True), "a AB AC")
    assert mesh.lines() == ["a", "1", "AB", "1", "AC", "1"]
    assert mesh.states("words") == {"a": ["a"]}


def test_a_multi_computation_that_returns_no_list_fails_its_record_only() -> None:
    mesh = run(plan_of(lambda word, seen: word if word == "b" else [word], is_multi=True), "a b c")
    assert mesh.lines() == ["a", "c"]
    (failure,) = mesh.failures()
    assert failure.error.startswith("TypeError: a multi computation must return a list or None")


def test_an_error_of_the_function_fails_its_record_only() -> None:
    def keep(word: str, seen: list[str]) -> str:
        if word == "bad":
            raise KeyError("state")
        return word

    mesh = run(plan_of(keep), "good bad fine")
    assert mesh.lines() == ["good", "fine"]
    (failure,) = mesh.failures()
    assert (failure.step, failure.key, failure.error) == ("keep", "b", "KeyError: 'state'")
