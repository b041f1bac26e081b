"""Whole dataflows on one to three workers against the oracle."""

import dataclasses
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

import wallaroo
from tests.wallaroo.operators.mesh import (
    Mesh,
    application,
    payloads,
    tcp_sink,
    tcp_source_at,
)
from tests.wallaroo.operators.oracle import SEQUENCES, Kind, build, interpret
from wallaroo.names import EdgeId
from wallaroo.operators.batch_format import SAMPLE_RECORDS_MIN
from wallaroo.operators.batches import BatchFormat
from wallaroo.operators.routes import KEYS_CACHED_MAX
from wallaroo.routing.keys import canonical_key, display_key
from wallaroo.topology.plan import Application

PAYLOADS = [b"", *(b"%d" % number for number in random.Random(7).choices(range(60), k=30))]


def own_serialize(record: Any) -> bytes:
    return b"own:" + repr(record).encode()


def own_deserialize(data: bytes) -> Any:
    return int(data.removeprefix(b"own:"))


def with_own_serialization(plan: Application) -> Application:
    return dataclasses.replace(plan, serialize=own_serialize, deserialize=own_deserialize)


WAYS: list[tuple[Callable[[Application], Application], BatchFormat]] = [
    (lambda plan: plan, BatchFormat.PAYLOADS),
    (lambda plan: plan, BatchFormat.OBJECTS),
    (with_own_serialization, BatchFormat.OBJECTS),
]
"""How records travel: what is done to the plan, and the form where there is a choice."""


def check(kinds: tuple[Kind, ...], worker_count: int, way: int) -> Mesh:
    """Run these steps and compare with the oracle."""
    expected = interpret(kinds, PAYLOADS)
    change, form = WAYS[way]
    mesh = Mesh(change(build(kinds)), worker_count, form=form)
    mesh.feed(PAYLOADS)
    assert mesh.failures() == []
    assert Counter(mesh.lines()) == Counter(expected.lines)
    for name, states in expected.states.items():
        seen = {key: state.values for key, state in mesh.states(name).items()}
        assert seen == {key: state.values for key, state in states.items()}
    if worker_count == 1:
        assert mesh.lines() == expected.lines
        assert mesh.carried == []
    return mesh


@pytest.mark.parametrize("way", range(len(WAYS)))
@pytest.mark.parametrize("worker_count", [1, 2, 3])
def test_up_to_two_steps_give_what_one_process_gives(worker_count: int, way: int) -> None:
    for kinds in SEQUENCES:
        if len(kinds) < 3:
            check(kinds, worker_count, way)


@pytest.mark.parametrize("first", Kind)
@pytest.mark.parametrize("worker_count", [1, 2, 3])
def test_three_steps_give_what_one_process_gives(worker_count: int, first: Kind) -> None:
    for number, kinds in enumerate(kinds for kinds in SEQUENCES if kinds[:1] == (first,)):
        if len(kinds) == 3:
            check(kinds, worker_count, (number + worker_count) % len(WAYS))


def test_payloads_travel_as_they_came_unless_objects_are_asked_for() -> None:
    forms = [
        {(batch.edge, batch.form) for batch in check((Kind.PARTITION,) * 2, 2, way).carried}
        for way in range(len(WAYS))
    ]
    first, second = EdgeId(0), EdgeId(1)
    assert forms[0] == {(first, BatchFormat.PAYLOADS), (second, BatchFormat.OBJECTS)}
    assert forms[1] == forms[2] == {(first, BatchFormat.OBJECTS), (second, BatchFormat.OBJECTS)}


def test_nothing_is_lost_or_repeated_when_the_form_changes_on_the_way() -> None:
    now_s = [0.0]

    def slow_decode(payload: bytes) -> str:
        now_s[0] += 1
        return payload.decode()

    same: Any = wallaroo.computation("same")(lambda word: word)
    builder = application(decoder=wallaroo.decoder()(slow_decode)).to_parallel(same)
    mesh = Mesh(builder.to_sink(tcp_sink()).build(), 3, form=None, clock=lambda: now_s[0])
    words = [f"w{number}" for number in range(4 * SAMPLE_RECORDS_MIN)]
    for _ in range(2):
        mesh.feed(payloads(words), worker=0)
    assert Counter(mesh.lines()) == Counter(words * 2)
    assert {batch.form for batch in mesh.carried[:2]} == {BatchFormat.PAYLOADS}
    assert {batch.form for batch in mesh.carried[2:]} == {BatchFormat.OBJECTS}


def keep_word(word: str, state: list[str]) -> tuple[str, bool]:
    state.append(word)
    return f"{word[0]}{len(state)}", True


def first_letter(word: str) -> str:
    return word[0]


def word_list(**changes: Any) -> Application:
    """Return a plan that keeps words by their first letter."""
    partition = changes.get("partition", first_letter)
    step: Any = wallaroo.state_computation("keep word")(changes.get("keep", keep_word))
    builder = application()
    builder.to_state_partition(
        step, changes.get("create", list), "words", wallaroo.partition(partition)
    )
    return builder.to_sink(tcp_sink()).build()


@pytest.mark.parametrize("form", BatchFormat)
def test_records_of_one_source_and_key_keep_their_order(form: BatchFormat) -> None:
    words = [f"{letter}{number}" for number in range(20) for letter in "abcdefghij"]
    mesh = Mesh(word_list(), 3, form=form)
    mesh.feed(payloads(words), worker=1)
    assert mesh.states("words") == {
        letter: [word for word in words if word[0] == letter] for letter in "abcdefghij"
    }


def test_true_and_one_in_all_its_forms_are_four_states() -> None:
    keys: dict[str, Any] = {"bool": True, "int": 1, "text": "1", "bytes": b"1"}
    for worker_count in (1, 2, 3):
        mesh = Mesh(word_list(partition=keys.__getitem__), worker_count)
        mesh.feed(payloads([*keys] * 6))
        states = mesh.states("words")
        assert len(states) == 4
        assert {display_key(key): None for key in states}.keys() == {*keys.values()}
        assert states[canonical_key(True)] == ["bool"] * 6
        assert states[1] == ["int"] * 6


def test_pipelines_that_name_one_state_share_it() -> None:
    step: Any = wallaroo.state_computation("keep word")(keep_word)
    partition = wallaroo.partition(first_letter)
    builder = application()
    builder.to_state_partition(step, list, "words", partition).done()
    builder.new_pipeline("q", tcp_source_at("7011"))
    builder.to_state_partition(step, list, "words", partition).to_sink(tcp_sink())
    mesh = Mesh(builder.build(), 2)
    mesh.feed(payloads("a1 b1 c1"), pipeline=0)
    mesh.feed(payloads("a2 b2 c2"), pipeline=1)
    assert mesh.states("words") == {"a": ["a1", "a2"], "b": ["b1", "b2"], "c": ["c1", "c2"]}
    assert Counter(mesh.lines()) == Counter(["a2", "b2", "c2"])


def test_to_parallel_gives_each_worker_its_turn_beginning_with_itself() -> None:
    step: Any = wallaroo.computation("same")(lambda word: word)
    plan = application().to_parallel(step).to_sink(tcp_sink()).build()
    mesh = Mesh(plan, 3)
    mesh.feed(payloads("a b c d e f g"), worker=1)
    sent = {batch.worker: batch.record_count for batch in mesh.carried}
    assert sent == {mesh.workers[0]: 2, mesh.workers[2]: 2}
    assert Counter(mesh.lines()) == Counter("abcdefg")


class Countdown:
    def initial_value(self) -> int:
        return 3

    def apply(self, value: int) -> int | None:
        return value - 1 or None


def test_values_of_a_generator_need_no_decoder_and_have_no_payload() -> None:
    builder = wallaroo.ApplicationBuilder("test")
    builder.new_pipeline("p", wallaroo.GenSourceConfig(Countdown()))
    step: Any = wallaroo.computation("divide")(lambda value: 6 // value)
    plan = builder.to_parallel(step).to_sink(tcp_sink()).build()
    mesh = Mesh(plan, 2)
    mesh.feed([3, 2, 0, 1])
    assert Counter(mesh.lines()) == Counter("236")
    (failure,) = mesh.failures()
    assert (failure.step, failure.payload, failure.record) == ("divide", None, "0")


def test_states_stay_when_the_membership_is_bound_anew() -> None:
    mesh = Mesh(word_list(), 1)
    mesh.feed(payloads("a1 b1"))
    (flow,) = mesh.flows.values()
    flow.bind(mesh.workers, mesh.maps)
    mesh.feed(payloads("a2"))
    assert mesh.states("words") == {"a": ["a1", "a2"], "b": ["b1"]}


def test_no_batch_may_be_left_when_the_membership_is_bound_anew() -> None:
    mesh = Mesh(word_list(), 2)
    flow = mesh.flows[mesh.workers[0]]
    flow.run_source(0, payloads("a b c d e f g h"))
    with pytest.raises(AssertionError, match="take_batches"):
        flow.bind(mesh.workers, mesh.maps)


def test_what_was_taken_is_gone() -> None:
    mesh = Mesh(word_list(), 2)
    flow = mesh.flows[mesh.workers[0]]
    flow.run_source(0, [*payloads("a b c d e f g h"), b"\xff"])
    assert [*flow.take_batches()] != []
    assert [*flow.take_output()] != []
    assert flow.take_failures() != []
    assert ([*flow.take_batches()], [*flow.take_output()], flow.take_failures()) == ([], [], [])


def test_more_keys_than_are_remembered_are_still_found() -> None:
    words = [f"{number:05}" for number in range(KEYS_CACHED_MAX + 500)]
    mesh = Mesh(word_list(partition=str), 2)
    for _ in range(2):
        mesh.feed(payloads(words), worker=0)
    states = mesh.states("words")
    assert len(states) == len(words)
    assert all(len(seen) == 2 for seen in states.values())


class Fussy:
    """A record that chooses where its journey fails."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __reduce__(self) -> tuple[Any, ...]:
        if self.word.startswith("unpicklable"):
            raise TypeError(f"{self.word} stays here")
        return (fussy_again, (self.word,))

    def __str__(self) -> str:
        return self.word

    def __repr__(self) -> str:
        return f"<{self.word}>"


def fussy_again(word: str) -> Fussy:
    if word.startswith("unloadable"):
        raise LookupError(f"{word} does not come back")
    return Fussy(word)


def fussy_plan() -> Application:
    """Make records of words and send each to the other one of two workers."""
    make: Any = wallaroo.computation("make")(Fussy)
    same: Any = wallaroo.computation("same")(lambda record: record)
    return application().to(make).to_parallel(same).to_sink(tcp_sink()).build()


def fed_alternating(plan: Application, words: str) -> Mesh:
    """Every second word is dealt to the second worker; between them go words that stay."""
    mesh = Mesh(plan, 2)
    mesh.feed(payloads([each for word in words.split() for each in ("stays", word)]), worker=0)
    return mesh


def test_a_record_that_cannot_be_pickled_fails_alone() -> None:
    mesh = fed_alternating(fussy_plan(), "a unpicklable b")
    assert sorted(mesh.lines()) == ["a", "b", "stays", "stays", "stays"]
    (failure,) = mesh.failures()
    assert failure.step == "exchange before parallel step"
    assert failure.payload == b"unpicklable"
    assert failure.record == "<unpicklable>"
    assert failure.error == "TypeError: unpicklable stays here"
    assert "in __reduce__" in failure.traceback
    assert [batch.record_count for batch in mesh.carried] == [2]


def test_a_batch_of_nothing_but_unpicklable_records_does_not_travel() -> None:
    mesh = fed_alternating(fussy_plan(), "unpicklable-1 unpicklable-2")
    assert mesh.carried == []
    assert [failure.payload for failure in mesh.failures()] == payloads(
        "unpicklable-1 unpicklable-2"
    )


def test_a_record_that_cannot_be_unpickled_fails_alone() -> None:
    mesh = fed_alternating(fussy_plan(), "a unloadable b")
    assert sorted(mesh.lines()) == ["a", "b", "stays", "stays", "stays"]
    (failure,) = mesh.failures()
    assert failure.payload == b"unloadable"
    assert failure.error == "LookupError: unloadable does not come back"
    assert "in fussy_again" in failure.traceback
    mesh.feed(payloads("stays c"), worker=0)
    assert sorted(mesh.lines()[5:]) == ["c", "stays"]


def choosy_serialize(record: Any) -> Any:
    if record == "raises":
        raise ValueError("not this one")
    return record if record == "text" else record.encode()


def choosy_deserialize(data: bytes) -> Any:
    if data == b"unreadable":
        raise EOFError("too short")
    return data.decode()


def test_each_record_that_the_applications_serialization_refuses_fails_alone() -> None:
    upper: Any = wallaroo.computation("upper")(lambda record: record.upper())
    same: Any = wallaroo.computation("same")(lambda record: record)
    plan = dataclasses.replace(
        application().to(same).to_parallel(upper).to_sink(tcp_sink()).build(),
        serialize=choosy_serialize,
        deserialize=choosy_deserialize,
    )
    mesh = fed_alternating(plan, "a raises b text c unreadable d")
    assert sorted(mesh.lines()) == ["A", "B", "C", "D"] + ["STAYS"] * 7
    failures = {failure.payload: failure for failure in mesh.failures()}
    assert {payload: failure.error for payload, failure in failures.items()} == {
        b"raises": "ValueError: not this one",
        b"text": "TypeError: serialize must return bytes, got str",
        b"unreadable": "EOFError: too short",
    }
    assert {failure.step for failure in failures.values()} == {"exchange before parallel step"}
    assert "in choosy_serialize" in failures[b"raises"].traceback
    assert failures[b"raises"].record == "'raises'"
    assert failures[b"unreadable"].record == "b'unreadable'"


def test_a_failure_on_the_way_to_a_state_names_the_state_and_the_key() -> None:
    make: Any = wallaroo.computation("make")(Fussy)
    keep: Any = wallaroo.state_computation("keep")(lambda record, state: (record, True))
    key: Any = wallaroo.partition(lambda record: (record.word[-1], True))
    plan = application().to(make).to_state_partition(keep, list, "words", key)
    mesh = Mesh(plan.to_sink(tcp_sink()).build(), 2)
    mesh.feed(payloads([f"unpicklable-{number}" for number in range(10)]))
    failures = mesh.failures()
    assert len(failures) + len(mesh.lines()) == 10
    assert failures
    for failure in failures:
        assert failure.payload is not None
        assert failure.step == "exchange before words"
        assert failure.key == [failure.payload.decode()[-1], True]
