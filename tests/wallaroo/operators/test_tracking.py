"""Chains of a worker with checkpoints on: they say which keys change, and write some first."""

import copy
import pickle
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
from tests.wallaroo.operators.oracle import (
    KEYED,
    SEQUENCES,
    SINGLE,
    Kind,
    build,
    interpret,
)
from wallaroo.operators.batch_format import SAMPLE_RECORDS_MIN
from wallaroo.operators.batches import BatchFormat
from wallaroo.operators.changes import StateChanges
from wallaroo.operators.keyed_state import KeyedState
from wallaroo.operators.writing.chain import LOOPS_NESTED_MAX
from wallaroo.topology.plan import Application

NUMBERS = [b"%d" % (number * 7 % 60) for number in range(40)]

first_letter = wallaroo.partition(lambda word: word[0])


def changes_of(state: KeyedState) -> StateChanges:
    assert state.changes is not None
    return state.changes


class Writer:
    """Keeps what a checkpoint has of one state in ``written``."""

    def __init__(self, written: dict[Any, Any]) -> None:
        self.written = written

    def write(self, keys: list[Any], states: list[Any]) -> None:
        assert not self.written.keys() & {*keys}
        self.written |= copy.deepcopy(dict(zip(keys, states, strict=True)))

    def write_pane(self, *_: Any) -> None:
        raise AssertionError("these states have no panes")

    def write_copies(self, keys: list[Any], copies: list[bytes]) -> None:
        self.write(keys, [*map(pickle.loads, copies)])

    def copy(self, _key: Any, state: Any) -> bytes:
        return pickle.dumps(state)


class Refusing(Writer):
    """Cannot make copies."""

    def copy(self, _key: Any, state: Any) -> bytes:
        raise ValueError("cannot be pickled")


class Tracked(Mesh):
    """Workers with checkpoints on, and what they write of each state."""

    def __init__(self, plan: Application, worker_count: int = 1, **changes: Any) -> None:
        super().__init__(plan, worker_count, tracks_changes=True, **changes)
        self.written: dict[str, dict[Any, Any]] = {name: {} for name in plan.states}

    def all_changes(self, name: str) -> list[StateChanges]:
        return [changes_of(flow.states[name]) for flow in self.flows.values()]

    def changed(self, name: str) -> set[Any]:
        """Return the keys that changed since the last barrier, on any worker."""
        return set().union(*(change.changed for change in self.all_changes(name)))

    def freeze(self) -> None:
        writers = {name: Writer(written) for name, written in self.written.items()}
        for flow in self.flows.values():
            flow.freeze(writers)

    def write_all(self) -> None:
        for flow in self.flows.values():
            for state in flow.states.values():
                while changes_of(state).is_writing:
                    changes_of(state).write_slice(5)


def checkpoint_between(plan: Application, records: list[bytes], worker_count: int) -> Tracked:
    """Have a barrier in the middle of the records, and its states written at the end of them."""
    mesh = Tracked(plan, worker_count)
    mesh.feed(records[::2])
    due = {
        name: copy.deepcopy({key: mesh.states(name)[key] for key in mesh.changed(name)})
        for name in plan.states
    }
    mesh.freeze()
    assert not any(mesh.changed(name) for name in plan.states)
    mesh.feed(records[1::2])
    mesh.write_all()
    for name, states in due.items():
        assert mesh.written[name].keys() == states.keys()
        for key, state in states.items():
            assert vars(mesh.written[name][key]) == vars(state)
    return mesh


@pytest.mark.parametrize("worker_count", [1, 2])
def test_all_kinds_of_steps_give_the_same_with_a_barrier_in_between(worker_count: int) -> None:
    for kinds in SEQUENCES:
        if len(kinds) > 2:
            continue
        mesh = checkpoint_between(build(kinds), NUMBERS, worker_count)
        assert mesh.failures() == []
        expected = interpret(kinds, NUMBERS[::2] + NUMBERS[1::2])
        assert Counter(mesh.lines()) == Counter(expected.lines)
        for name, states in expected.states.items():
            seen = {key: state.values for key, state in mesh.states(name).items()}
            assert seen == {key: state.values for key, state in states.items()}


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind in KEYED + SINGLE])
def test_a_key_counts_as_changed_if_its_computation_says_so(kind: Kind) -> None:
    # In the oracle's applications the keyed computations say True, those of one key say False.
    mesh = Tracked(build((kind,)), 2)
    mesh.feed(NUMBERS)
    assert mesh.states("state 0") != {}
    assert mesh.changed("state 0") == (set(mesh.states("state 0")) if kind in KEYED else set())


def keep(word: str, state: list[str]) -> tuple[Any, bool]:
    state.append(word)
    return "".join(state), True


def keep_if_upper(word: str, state: list[str]) -> tuple[str, Any]:
    """Say whether the state changed by whatever is true or not."""
    if not word.isupper():
        return word, None if word == "none" else False
    state.append(word)
    return word, 1 if word == "ONE" else True


def keep_many(word: str, state: list[str]) -> tuple[list[str], bool]:
    state.append(word)
    return [word, word], word != "unchanged"


def keep_nothing(word: str, state: list[str]) -> tuple[None, bool]:
    state.append(word)
    return None, True


def single(function: Callable[..., Any], name: str = "keep") -> Any:
    return wallaroo.state_computation(name)(function)


def many(function: Callable[..., Any], name: str = "keep") -> Any:
    return wallaroo.state_computation_multi(name)(function)


def words_plan(step: Any, *, builder: wallaroo.ApplicationBuilder | None = None) -> Application:
    """Return a plan whose last step keeps a state for each first letter."""
    builder = builder or application()
    builder.to_state_partition(step, list, "words", first_letter)
    return builder.to_sink(tcp_sink()).build()


@pytest.mark.parametrize(
    ("step", "words", "changed"),
    [
        (single(keep), "apple pear", "ap"),
        (single(keep_if_upper), "apple PEAR", "P"),
        (single(keep_if_upper), "none ONE", "O"),
        (single(keep_nothing), "apple", "a"),
        (many(keep_many), "apple pear", "ap"),
        (many(keep_many), "apple unchanged", "a"),
        (many(lambda word, state: (None, True)), "apple", "a"),
        (many(lambda word, state: ([], True)), "apple", "a"),
    ],
)
def test_what_a_computation_says_of_its_state_is_noted(step: Any, words: str, changed: str) -> None:
    mesh = Tracked(words_plan(step))
    mesh.feed(payloads(words))
    assert mesh.failures() == []
    assert mesh.changed("words") == {*changed}
    assert mesh.states("words").keys() == {word[0] for word in words.split()}


def test_a_computation_that_fails_has_changed_nothing_but_had_its_state_copied_first() -> None:
    def fail(word: str, state: list[str]) -> tuple[str, bool]:
        if word == "abad":
            state.append("half")
            raise ValueError(word)
        return keep(word, state)

    mesh = Tracked(words_plan(single(fail)))
    mesh.feed(payloads("a1 b1"))
    mesh.freeze()
    mesh.feed(payloads("abad"))
    mesh.write_all()
    assert mesh.written["words"]["a"] == ["a1"]
    assert mesh.changed("words") == set()
    assert [failure.payload for failure in mesh.failures()] == [b"abad"]


def test_a_result_that_is_not_a_pair_changes_nothing() -> None:
    mesh = Tracked(words_plan(single(lambda word, state: "ab")))
    mesh.feed(payloads("apple"))
    assert mesh.changed("words") == set()
    (failure,) = mesh.failures()
    assert "must return a pair" in failure.error


def test_a_state_that_is_only_looked_at_is_written_as_it_was_at_the_barrier() -> None:
    mesh = Tracked(words_plan(single(keep_if_upper)))
    mesh.feed(payloads("APPLE"))
    mesh.freeze()
    mesh.feed(payloads("Apple APRICOT"))
    mesh.write_all()
    assert mesh.written["words"] == {"A": ["APPLE"]}
    assert mesh.changed("words") == {"A"}


@pytest.mark.parametrize("worker_count", [1, 2])
def test_pipelines_that_share_a_state_share_its_changes(worker_count: int) -> None:
    builder = application()
    builder.to_state_partition(single(keep_if_upper), list, "words", first_letter).done()
    builder.new_pipeline("q", tcp_source_at("7011"))
    builder.to_state_partition(many(keep_many), list, "words", first_letter).done()
    builder.new_pipeline("r", tcp_source_at("7012"))
    mesh = Tracked(words_plan(single(keep), builder=builder), worker_count)
    for pipeline, words in enumerate(["A1 b1", "c1 unchanged", "d1"]):
        mesh.feed(payloads(words), pipeline=pipeline)
    assert mesh.changed("words") == {"A", "c", "d"}
    mesh.freeze()
    for pipeline in range(3):
        mesh.feed(payloads("A2"), pipeline=pipeline)
    mesh.write_all()
    assert mesh.written["words"] == {"A": ["A1"], "c": ["c1"], "d": ["d1"]}
    assert mesh.changed("words") == {"A"}


@pytest.mark.parametrize("worker_count", [1, 2])
@pytest.mark.parametrize("count", [LOOPS_NESTED_MAX - 1, LOOPS_NESTED_MAX, 2 * LOOPS_NESTED_MAX])
def test_a_state_behind_many_multi_computations_is_tracked(count: int, worker_count: int) -> None:
    builder = application()
    for index in range(count):
        builder.to(wallaroo.computation_multi(f"same {index}")(lambda word: [word]))
    mesh = Tracked(words_plan(single(keep), builder=builder), worker_count)
    mesh.feed(payloads("a1 b1"))
    assert mesh.changed("words") == {"a", "b"}
    mesh.freeze()
    mesh.feed(payloads("a2 c2"))
    mesh.write_all()
    assert mesh.written["words"] == {"a": ["a1"], "b": ["b1"]}
    assert mesh.changed("words") == {"a", "c"}


def test_states_between_many_multi_computations_are_tracked() -> None:
    steps = [many(keep_many, f"step {index}") for index in range(LOOPS_NESTED_MAX + 2)]
    builder = application()
    for index, step in enumerate(steps):
        builder.to_state_partition(step, list, f"words {index}", first_letter)
    plan = builder.to_sink(tcp_sink()).build()
    mesh = Tracked(plan)
    mesh.feed(payloads("a1 b1"))
    before = {name: copy.deepcopy(mesh.states(name)) for name in plan.states}
    assert all(mesh.changed(name) == {"a", "b"} for name in plan.states)
    mesh.freeze()
    mesh.feed(payloads("a2"))
    mesh.write_all()
    assert mesh.written == before
    assert all(mesh.changed(name) == {"a"} for name in plan.states)


def test_chains_that_are_written_anew_go_on_tracking() -> None:
    now_s = [0.0]

    def slow_decode(payload: bytes) -> str:
        now_s[0] += 1
        return payload.decode()

    builder = application(decoder=wallaroo.decoder()(slow_decode))
    plan = words_plan(single(keep), builder=builder)
    mesh = Tracked(plan, 2, form=None, clock=lambda: now_s[0])
    words = [f"{letter}{n}" for n in range(SAMPLE_RECORDS_MIN) for letter in "abcdefgh"]
    mesh.feed(payloads(words), worker=0)
    before = copy.deepcopy(mesh.states("words"))
    mesh.freeze()
    mesh.feed(payloads(words), worker=0)
    assert {batch.form for batch in mesh.carried} == {BatchFormat.PAYLOADS, BatchFormat.OBJECTS}
    mesh.write_all()
    assert mesh.written["words"] == before
    assert mesh.changed("words") == {*"abcdefgh"}


def test_a_membership_that_is_bound_anew_while_a_checkpoint_is_written_changes_nothing() -> None:
    mesh = Tracked(words_plan(single(keep)))
    (flow,) = mesh.flows.values()
    mesh.feed(payloads("a1 b1"))
    mesh.freeze()
    flow.bind(mesh.workers, mesh.maps)
    mesh.feed(payloads("a2"))
    mesh.write_all()
    assert mesh.written["words"] == {"a": ["a1"], "b": ["b1"]}
    assert mesh.changed("words") == {"a"}


def test_a_state_that_cannot_be_written_is_not_a_failure_of_a_record() -> None:
    mesh = Tracked(words_plan(single(keep)))
    (flow,) = mesh.flows.values()
    (change,) = mesh.all_changes("words")
    mesh.feed(payloads("a1"))
    flow.freeze({"words": Refusing({})})
    mesh.feed(payloads("a2"))
    assert mesh.failures() == []
    assert mesh.lines() == ["a1", "a1a2"]
    assert str(change.error) == "cannot be pickled"


# Deleted states


def keep_until_bye(word: str, state: list[str]) -> tuple[str, Any]:
    state.append(word)
    return "".join(state), wallaroo.DELETE if word.endswith("bye") else True


def keep_many_until_bye(word: str, state: list[str]) -> tuple[list[str], Any]:
    result, change = keep_until_bye(word, state)
    return [result, result], change


def test_the_result_of_a_deletion_goes_on_and_the_state_is_gone() -> None:
    mesh = Tracked(words_plan(single(keep_until_bye)))
    mesh.feed(payloads("a1 b1 abye"))
    assert mesh.failures() == []
    assert mesh.lines() == ["a1", "b1", "a1abye"]
    assert mesh.states("words") == {"b": ["b1"]}
    mesh.feed(payloads("a2"))
    assert mesh.states("words")["a"] == ["a2"]


def test_a_multi_computation_deletes_too() -> None:
    mesh = Tracked(words_plan(many(keep_many_until_bye)))
    mesh.feed(payloads("a1 abye"))
    assert mesh.lines() == ["a1", "a1", "a1abye", "a1abye"]
    assert mesh.states("words") == {}


def test_the_one_object_of_a_state_is_deleted_too() -> None:
    builder = application().to_stateful(single(keep_until_bye), list, "all")
    mesh = Mesh(builder.to_sink(tcp_sink()).build())
    mesh.feed(payloads("a1 bye"))
    assert mesh.states("all") == {}


def test_a_key_that_is_created_and_deleted_by_one_record_leaves_a_tombstone() -> None:
    """An older part may hold it: who deletes a key does not know whether it was ever saved."""
    mesh = Tracked(words_plan(single(keep_until_bye)))
    mesh.feed(payloads("bye"))
    mesh.freeze()
    mesh.write_all()
    assert mesh.written["words"] == {"b": None}


@pytest.mark.parametrize("worker_count", [1, 2])
def test_a_deletion_behind_a_barrier_belongs_to_the_next_checkpoint(worker_count: int) -> None:
    mesh = Tracked(words_plan(single(keep_until_bye)), worker_count)
    mesh.feed(payloads("a1 b1 cbye"), worker=0)
    mesh.freeze()
    mesh.feed(payloads("abye b2 bbye c1"), worker=0)
    mesh.write_all()
    assert mesh.written["words"] == {"a": ["a1"], "b": ["b1"], "c": None}
    mesh.written["words"].clear()
    mesh.freeze()
    mesh.write_all()
    assert mesh.written["words"] == {"a": None, "b": None, "c": ["c1"]}


def test_a_computation_that_fails_deletes_nothing() -> None:
    mesh = Tracked(words_plan(single(lambda word, state: {1: 1, wallaroo.DELETE: 2})))
    mesh.feed(payloads("apple"))
    assert mesh.states("words").keys() == {"a"}
    (failure,) = mesh.failures()
    assert "must return a pair" in failure.error


def test_a_state_class_that_returns_none_is_refused() -> None:
    builder = application().to_state_partition(single(keep), lambda: None, "words", first_letter)
    mesh = Mesh(builder.to_sink(tcp_sink()).build())
    mesh.feed(payloads("apple"))
    (failure,) = mesh.failures()
    assert failure.error == (
        "TypeError: state_class of state 'words' returned None, which stands for a state that was "
        "deleted; return an object, such as an empty dict"
    )
    assert mesh.states("words") == {}


def test_without_checkpoints_nothing_is_tracked() -> None:
    mesh = Mesh(words_plan(single(keep)))
    (flow,) = mesh.flows.values()
    mesh.feed(payloads("a1"))
    assert flow.states["words"].changes is None
    assert mesh.lines() == ["a1"]
