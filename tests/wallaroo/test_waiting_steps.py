"""Computations at which records wait, and resources, through whole applications in one process."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.operators.mesh import application, tcp_sink
from wallaroo.testing import collect
from wallaroo.topology.describe import plan_text
from wallaroo.topology.plan import Application
from wallaroo.topology.waiting import Order

SINK = "sink 0"
WORDS = [b"a1", b"b1", b"a2", b"", b"c1", b"b2", b"a3"]


def plan(*steps: Any, keyed: bool = False) -> Application:
    builder = application()
    if keyed:
        by_letter = wallaroo.partition(lambda word: word[:1])
        builder = builder.to_state_partition(count, list, "seen", by_letter)
    for step in steps:
        builder = builder.to(step)
    return builder.to_sink(tcp_sink()).build()


@wallaroo.state_computation("count")
def count(word: str, seen: list[str]) -> tuple[str, bool]:
    seen.append(word)
    return word, True


@wallaroo.computation_batch("upper", max_size=3)
def upper(words: list[str]) -> list[str | None]:
    return [word.upper() or None for word in words]


@wallaroo.computation_async("ask")
async def ask(word: str) -> str | None:
    return f"{word}?" if word else None


@wallaroo.computation_batch("ask many", max_size=2)
async def ask_many(words: list[str]) -> list[str]:
    return [f"{word}?" for word in words]


def outputs(plan: Application, workers: int = 1) -> list[Any]:
    return collect(plan, {"p": WORDS}, workers=workers).outputs[SINK]


def test_batches_return_a_result_for_each_record_and_none_drops_one() -> None:
    assert outputs(plan(upper)) == ["A1", "B1", "A2", "C1", "B2", "A3"]


def test_answers_go_on_in_order_and_none_drops_a_record() -> None:
    assert outputs(plan(ask)) == ["a1?", "b1?", "a2?", "c1?", "b2?", "a3?"]


def test_batches_may_be_asked_for() -> None:
    assert outputs(plan(ask_many)) == ["a1?", "b1?", "a2?", "?", "c1?", "b2?", "a3?"]


@pytest.mark.parametrize("workers", [1, 3])
def test_steps_at_which_records_wait_may_follow_each_other_and_other_steps(workers: int) -> None:
    doubled = wallaroo.computation_multi("twice")(lambda word: [word, word])
    found = outputs(plan(doubled, ask, doubled, upper, ask, keyed=True), workers)
    assert sorted(found) == sorted(
        f"{word.decode().upper()}??" for word in WORDS if word for _ in range(4)
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_a_state_behind_an_answer_gets_each_record_once(workers: int) -> None:
    builder = application().to(ask)
    by_letter = wallaroo.partition(lambda word: word[0])
    builder = builder.to_state_partition(count, list, "seen", by_letter).to(ask)
    found = collect(builder.to_sink(tcp_sink()).build(), {"p": WORDS}, workers=workers)
    assert sorted(found.outputs[SINK]) == sorted(f"{w.decode()}??" for w in WORDS if w)


# Errors


def test_a_record_that_fails_is_a_dead_letter_with_key_and_step() -> None:
    @wallaroo.computation_async("fails")
    async def fails(word: str) -> str:
        return f"{1 // (len(word) - 2)}{word}" if word == "b1" else word

    collected = collect(plan(fails, keyed=True), {"p": WORDS})
    (failure,) = collected.failures
    assert (failure.step, failure.key, failure.record) == ("fails", "b", "'b1'")
    assert failure.error.startswith("ZeroDivisionError")
    assert "test_waiting_steps.py" in failure.at
    assert "b1" not in collected.outputs[SINK]


def test_only_the_bad_record_of_a_batch_is_a_dead_letter() -> None:
    @wallaroo.computation_batch("lengths", max_size=100)
    def lengths(words: list[str]) -> list[int]:
        return [ord(word[0]) for word in words]

    collected = collect(plan(lengths), {"p": WORDS})
    assert [(each.step, each.record) for each in collected.failures] == [("lengths", "''")]
    assert len(collected.outputs[SINK]) == len(WORDS) - 1


def test_another_number_of_results_is_a_dead_letter_for_each_record() -> None:
    @wallaroo.computation_batch("some", max_size=100)
    def some(words: list[str]) -> list[str]:
        return [word for word in words if word]

    collected = collect(plan(some), {"p": WORDS})
    assert len(collected.failures) == len(WORDS)
    sentence = "the batch step returned 6 results for 7 records; return one for each"
    assert all(sentence in each.error for each in collected.failures)
    assert collected.outputs[SINK] == []


def test_a_call_is_made_again_after_an_error_that_is_listed() -> None:
    attempts: list[str] = []

    @wallaroo.computation_async("flaky", retries=2, retry_on=(ConnectionError,))
    async def flaky(word: str) -> str:
        attempts.append(word)
        if attempts.count(word) < 3:
            raise ConnectionError(word)
        return word

    found = collect(plan(flaky), {"p": [b"a", b"b"]})
    assert found.outputs[SINK] == ["a", "b"]
    assert sorted(attempts) == ["a"] * 3 + ["b"] * 3


# Resources

events: list[str] = []


@wallaroo.resource
def prefix() -> Iterator[str]:
    events.append("made")
    yield ">"
    events.append("closed")


@wallaroo.resource
async def suffix() -> str:
    return "<"


@wallaroo.resource
async def middle() -> AsyncIterator[str]:
    yield "-"
    events.append("middle closed")


class Client:
    def close(self) -> None:
        events.append("client closed")


@wallaroo.resource
def client() -> Client:
    return Client()


@wallaroo.computation("mark", prefix=prefix, suffix=suffix)
def mark(word: str, prefix: str, suffix: str) -> str:
    return f"{prefix}{word}{suffix}"


@wallaroo.computation_batch("mark all", middle=middle)
def mark_all(words: list[str], *, middle: str) -> list[str]:
    return [f"{middle}{word}" for word in words]


@wallaroo.computation_async("send", client=client, prefix=prefix)
async def send(word: str, client: Client, prefix: str) -> str:
    assert isinstance(client, Client)
    return f"{prefix}{word}"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_resource_is_made_once_for_each_worker_and_closed_at_the_end(workers: int) -> None:
    events.clear()
    found = collect(plan(mark, mark_all, send), {"p": [b"a"]}, workers=workers)
    assert found.outputs[SINK] == [">->a<"]
    assert events == ["made"] * workers + ["client closed", "middle closed", "closed"] * workers


class Session:
    async def close(self) -> None:
        events.append("session closed")


class Stubborn:
    def close(self) -> None:
        raise OSError("it is busy")


def refuse() -> str:
    raise ConnectionError("there is no such service")


async def never() -> AsyncIterator[str]:
    yield refuse()


def yields_nothing(*given: str) -> Iterator[str]:
    yield from given


def marking(**resources: Any) -> Any:
    """Return a step that asks for resources, made by functions, besides ``prefix``."""
    asked = {name: loose.resource(function) for name, function in resources.items()}
    return loose.computation("m", prefix=prefix, **asked)(lambda word, **_: word)


def test_a_close_that_is_a_coroutine_function_is_awaited() -> None:
    events.clear()
    collect(plan(marking(session=Session)), {"p": []})
    assert events == ["made", "session closed", "closed"]


def test_an_error_of_a_close_leaves_the_results_and_is_a_warning() -> None:
    events.clear()
    with pytest.warns(RuntimeWarning, match="'Stubborn' cannot be closed: OSError: it is busy"):
        found = collect(plan(marking(stubborn=Stubborn)), {"p": [b"a"]})
    assert found.outputs[SINK] == ["a"]
    assert events == ["made", "closed"]


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (lambda: 1 / 0, "ZeroDivisionError: division by zero"),
        (never, "ConnectionError: there is no such service"),
        (yields_nothing, "the generator ends before it yields anything"),
    ],
)
def test_a_resource_that_cannot_be_made_is_named_and_the_others_are_closed(
    function: Any, why: str
) -> None:
    events.clear()
    with pytest.raises(wallaroo.WallarooError, match=rf"of step 'm' cannot be made: {why}") as told:
        collect(plan(marking(bad=function)), {"p": [b"a"]})
    assert "test_waiting_steps.py:" in told.value.hint
    assert events == ["made", "closed"]


def test_if_a_worker_cannot_make_its_resources_those_of_the_others_are_closed() -> None:
    events.clear()

    def second() -> str:
        if events.count("made") > 1:
            raise OSError("only one at a time")
        return ""

    with pytest.raises(wallaroo.WallarooError, match="only one at a time"):
        collect(plan(marking(second=second)), {"p": []}, workers=2)
    assert events == ["made", "made", "closed", "closed"]


def test_a_state_computation_gets_a_resource() -> None:
    def marked(word: str, seen: list[str], suffix: str) -> tuple[str, bool]:
        return f"{word}{suffix}", False

    with_suffix = loose.state_computation("count", suffix=suffix)(marked)
    builder = application().to_stateful(with_suffix, list, "seen").to_sink(tcp_sink())
    assert collect(builder.build(), {"p": [b"a"]}).outputs[SINK] == ["a<"]


def test_a_test_calls_a_function_with_a_resource_of_its_own() -> None:
    assert mark("a", "[", suffix="]") == "[a]"
    assert upper.compute("a") == "A"
    assert ask.compute("a") == "a?"
    assert ask_many.compute("a") == "a?"


# The plan


def test_records_are_held_by_the_keys_that_they_have() -> None:
    built = plan(ask, keyed=True)
    (step,) = [step for stage in built.pipelines[0].stages for step in stage.steps if step.waiting]
    assert step.waiting is not None
    assert step.waiting.order is Order.KEY
    assert built.states["ask~held"].space == "seen"
    (step,) = plan(ask).pipelines[0].stages[0].steps
    assert step.waiting is not None
    assert step.waiting.order is Order.ALL


def test_each_step_has_records_of_its_own() -> None:
    assert [*plan(ask, ask, upper).states] == ["ask~held", "ask 2~held"]


def test_the_plan_shows_how_records_wait() -> None:
    text = plan_text(plan(ask, upper))
    assert "ask (tests.wallaroo.test_waiting_steps.ask, as a task, at most 100 records)" in text
    assert "upper (tests.wallaroo.test_waiting_steps.upper, batches of 3 at once)" in text


# Mistakes


def mistakes_of(*steps: Any, keyed: bool = False) -> list[str]:
    with pytest.raises(wallaroo.WallarooParameterError) as raised:
        plan(*steps, keyed=keyed)
    return list(raised.value.mistakes)


async def waits(record: Any) -> Any:
    return record


def waits_not(record: Any) -> Any:
    return record


loose: Any = wallaroo
"""The package without its types, which find most of these mistakes."""


@pytest.mark.parametrize(
    ("step", "what"),
    [
        (loose.computation("x")(waits), "is an async function; use a plain def"),
        (loose.computation_async("x")(waits_not), "is a plain function; write async def"),
        (loose.computation_async(waits), "is written without a name"),
        (loose.computation_batch(waits_not), "is written without a name"),
        (loose.computation_async("x", capacity=0)(waits), "capacity is the int 0; give a"),
        (loose.computation_async("x", retries=-1)(waits), "retries is the int -1"),
        (loose.computation_async("x", timeout=0)(waits), "timeout is 0 s; give a duration"),
        (loose.computation_async("x", timeout=0.5)(waits), "timeout is of type float"),
        (loose.computation_async("x", backoff="1")(waits), "backoff is of type str"),
        (loose.computation_async("x", order="sometimes")(waits), "order is the str"),
        (loose.computation_async("x", retry_on=(5,))(waits), "retry_on is an object of class"),
        (loose.computation_async("x", on_timeout=5)(waits), "on_timeout is the int 5"),
        (loose.computation_async("x", on_timeout=waits)(waits), "on_timeout is an async function"),
        (loose.computation_async("x", on_timeout=lambda: 1)(waits), "on_timeout is called with 1"),
        (loose.computation_async("x", order="key")(waits), "records have no key here"),
        (loose.computation_batch("x", max_size=0)(waits_not), "max_size is the int 0"),
        (loose.computation_batch("x", timeout=1)(waits_not), "timeout is given, but the"),
        (loose.computation_batch("x", in_thread=True)(waits), "in_thread is given, but the"),
        (loose.computation("x", model=5)(waits_not), "has the keyword model, which is the int"),
        (loose.computation("x", model=client)(waits_not), "1 argument and model= but is"),
        (loose.resource(waits), "called with no argument but is declared (record)"),
    ],
)  # fmt: skip
def test_a_wrong_declaration_is_a_mistake_of_build(step: Any, what: str) -> None:
    if isinstance(step, wallaroo.Resource):
        step = wallaroo.computation("x", record=step)(lambda word, record: word)
    assert any(what in mistake for mistake in mistakes_of(step)), mistakes_of(step)


def test_order_by_key_is_right_behind_a_key() -> None:
    keyed = wallaroo.computation_async("x", order="key")(waits)
    assert plan(keyed, keyed=True).states["x~held"].space == "seen"
