"""Keys that changed, and what a checkpoint gets of them: always the values at the barrier."""

import pickle
import random
from typing import Any

import pytest

from wallaroo.operators.keyed_state import KeyedState

State = list[int]
"""A state object that its computation changes in place."""


class Store:
    """What checkpoints are written to, by a computation that changes states in place."""

    def __init__(self, keys: int = 0) -> None:
        self.keyed = KeyedState(tracks_changes=True)
        self.states: dict[str, State] = self.keyed.objects
        assert self.keyed.changes is not None
        self.changes = self.keyed.changes
        self.chunks: list[dict[str, State | None]] = []
        self.refused: set[str] = set()
        """Keys of states that cannot be pickled."""
        self.errors: list[Exception] = []
        for number in range(keys):
            self.compute(f"k{number}", 0)

    def write(self, keys: list[str], states: list[State]) -> None:
        assert len({*keys}) == len(keys) == len(states)
        if bad := self.refused & {*keys}:
            self.errors.append(ValueError(f"{min(bad)} cannot be pickled"))
            raise self.errors[-1]
        self.chunks.append(
            {
                key: None if state is None else [*state]
                for key, state in zip(keys, states, strict=True)
            }
        )

    def write_pane(self, *_: Any) -> None:
        raise AssertionError("these states have no panes")

    def write_copies(self, keys: list[str], copies: list[bytes]) -> None:
        self.chunks.append(dict(zip(keys, map(pickle.loads, copies), strict=True)))

    def copy(self, key: str, state: State) -> bytes:
        if key in self.refused:
            self.errors.append(ValueError(f"{key} cannot be pickled"))
            raise self.errors[-1]
        return pickle.dumps(state)

    def compute(self, key: str, value: int, *, is_changed: bool = True) -> None:
        """Do what a chain does with a record."""
        changes = self.changes
        if changes.frozen and changes.marks.get(key) is changes.frozen_mark:
            self.changes.copy_first(key)
        state = self.states.setdefault(key, [])
        if is_changed:
            state.append(value)
            if changes.marks.get(key) is not changes.current_mark:
                changes.marks[key] = changes.current_mark
                changes.changed.append(key)

    def written(self) -> dict[str, State | None]:
        """Return what was written so far; no key may have been written twice."""
        written: dict[str, State | None] = {}
        for chunk in self.chunks:
            assert not written.keys() & chunk.keys()
            written |= chunk
        return written

    def write_all(self, key_count_max: int = 10) -> None:
        while self.changes.is_writing:
            self.changes.write_slice(key_count_max)

    def begin(self) -> dict[str, State | None]:
        """A barrier is here; return what the checkpoint is to hold."""
        self.chunks.clear()
        due = {key: self.now(key) for key in self.changes.changed}
        self.changes.freeze(self)
        return due

    def now(self, key: str) -> State | None:
        return [*self.states[key]] if key in self.states else None

    def commit(self) -> dict[str, State | None]:
        """Take a checkpoint; return what it holds."""
        self.begin()
        self.write_all()
        self.changes.committed()
        return self.written()


def test_keys_that_changed_are_written_and_no_others() -> None:
    store = Store()
    store.compute("a", 1)
    store.compute("b", 1, is_changed=False)
    assert store.begin() == {"a": [1]}
    store.write_all()
    assert store.written() == {"a": [1]}
    store.changes.committed()
    assert store.begin() == {}
    assert store.changes.write_slice(10) == 0
    assert store.chunks == []


def test_what_changes_behind_the_barrier_is_written_first_and_counts_for_the_next() -> None:
    store = Store(keys=100)
    due = store.begin()
    store.compute("k7", 1)
    store.compute("k7", 2)
    assert [*store.changes.changed] == ["k7"]
    store.write_all()
    assert store.written() == due
    store.changes.committed()
    assert store.begin() == {"k7": [0, 1, 2]}


def test_copies_of_many_keys_are_written_together() -> None:
    store = Store(keys=100)
    due = store.begin()
    for number in range(10):
        store.compute(f"k{number}", 1)
    assert store.chunks == []
    assert store.changes.write_slice(50) == 10
    assert store.written() == {f"k{number}": [0] for number in range(10)}
    store.write_all()
    assert store.written() == due


def test_the_last_frozen_key_may_be_a_copy() -> None:
    store = Store(keys=1)
    store.begin()
    store.compute("k0", 1)
    assert store.changes.is_writing
    assert store.changes.write_slice(10) == 1
    assert store.chunks == [{"k0": [0]}]
    assert store.changes.write_slice(10) == 0
    assert not store.changes.is_writing


def test_a_slice_has_no_more_keys_than_it_may() -> None:
    store = Store(keys=25)
    store.begin()
    assert [store.changes.write_slice(10) for _ in range(4)] == [10, 10, 5, 0]
    assert [len(chunk) for chunk in store.chunks] == [10, 10, 5]


def test_a_key_that_is_new_behind_the_barrier_is_none_of_the_checkpoints() -> None:
    store = Store(keys=3)
    due = store.begin()
    store.compute("new", 1)
    store.write_all()
    assert store.written() == due
    assert [*store.changes.changed] == ["new"]


@pytest.mark.parametrize("slices", [0, 1, 2, 3])
def test_what_an_abandoned_checkpoint_was_to_hold_is_held_by_the_next(slices: int) -> None:
    store = Store(keys=30)
    due = store.begin()
    store.compute("k3", 1)
    store.compute("new", 1)
    for _ in range(slices):
        store.changes.write_slice(10)
    store.changes.abandon()
    assert not store.changes.frozen
    assert store.begin() == due | {"k3": [0, 1], "new": [1]}
    store.write_all()
    assert store.written().keys() == {*due, "new"}


def test_what_stands_in_a_checkpoint_is_not_written_again_after_one_that_is_abandoned() -> None:
    store = Store(keys=3)
    store.begin()
    store.write_all()
    store.changes.committed()
    store.compute("k1", 1)
    store.begin()
    store.changes.abandon()
    assert store.begin() == {"k1": [0, 1]}


def test_a_checkpoint_may_be_abandoned_before_its_barrier_is_here() -> None:
    store = Store(keys=3)
    store.changes.abandon()
    assert store.begin().keys() == {"k0", "k1", "k2"}
    store.write_all()
    store.changes.committed()
    store.changes.abandon()
    assert store.begin() == {}


def test_keys_that_no_record_changed_may_be_written_too() -> None:
    store = Store(keys=3)
    store.begin()
    store.write_all()
    store.changes.committed()
    store.changes.mark_changed(["k0", "k2"])
    assert store.begin() == {"k0": [0], "k2": [0]}
    store.write_all()
    assert store.written() == {"k0": [0], "k2": [0]}


def test_keys_that_another_worker_had_are_written_by_the_next_checkpoint() -> None:
    store = Store(keys=2)
    store.begin()
    store.write_all()
    store.changes.committed()
    store.changes.drop(["k0"])
    store.changes.add_moved(["k0"])
    assert store.begin() == {"k0": [0]}


def test_keys_that_are_still_to_be_written_are_not_written_twice_for_that() -> None:
    store = Store(keys=3)
    due = store.begin()
    store.changes.mark_changed(["k0"])
    store.compute("k1", 1)
    store.write_all()
    assert store.written() == due
    store.changes.committed()
    assert store.begin() == {"k1": [0, 1]}


def test_a_slice_looks_at_few_keys_that_are_written_already() -> None:
    store = Store(keys=100)
    due = store.begin()
    for number in range(100):
        store.compute(f"k{number}", 1)
    assert store.changes.write_slice(100) == 100
    assert store.changes.write_slice(10) == 0
    assert len(store.changes.frozen) == 60
    store.write_all()
    assert store.written() == due


def test_a_barrier_before_the_last_checkpoint_is_done_with_is_a_fault_of_ours() -> None:
    store = Store(keys=3)
    store.begin()
    with pytest.raises(AssertionError, match="neither finished nor abandoned"):
        store.changes.freeze(store)
    with pytest.raises(AssertionError):
        store.changes.committed()


# Objects that cannot be written


def test_an_object_that_cannot_be_written_is_the_checkpoints_fault_and_not_the_records() -> None:
    store = Store(keys=3)
    store.refused = {"k1"}
    store.begin()
    store.compute("k1", 1)
    assert store.states["k1"] == [0, 1]
    assert str(store.changes.error) == "k1 cannot be pickled"


def test_the_first_error_is_kept_and_the_others_are_still_tried() -> None:
    store = Store(keys=4)
    store.refused = {"k1", "k2"}
    store.begin()
    store.write_all(key_count_max=1)
    assert len(store.errors) == 2
    assert store.changes.error is store.errors[0]
    assert store.written().keys() == {"k0", "k3"}


def test_the_next_checkpoint_tries_anew_what_could_not_be_written() -> None:
    store = Store(keys=40)
    store.refused = {"k1"}
    store.begin()
    store.compute("k1", 1)
    store.write_all()
    store.changes.abandon()
    store.refused = set()
    due = store.begin()
    assert store.changes.error is None
    assert len(due) == 40
    store.write_all()
    assert store.written() == due
    assert store.changes.error is None


def test_a_part_that_cannot_be_put_away_is_not_an_error_of_the_record_either() -> None:
    class Full(Store):
        def write(self, keys: list[str], states: list[State]) -> None:
            raise OSError("no space left")

    store = Full(keys=3)
    store.begin()
    store.compute("k1", 1)
    store.write_all()
    assert isinstance(store.changes.error, OSError)


def test_an_object_that_ends_the_process_is_the_checkpoints_fault_too() -> None:
    class Leaving(Store):
        def copy(self, key: str, state: State) -> bytes:
            raise SystemExit

    store = Leaving(keys=1)
    store.begin()
    store.compute("k0", 1)
    assert isinstance(store.changes.error, SystemExit)


# Deleted keys


def test_a_deleted_key_is_written_as_a_tombstone_once() -> None:
    store = Store(keys=2)
    store.commit()
    assert store.keyed.delete("k0")
    assert not store.keyed.delete("k0")
    assert store.commit() == {"k0": None}
    assert store.commit() == {}


def test_nothing_is_kept_of_a_key_whose_tombstone_is_written() -> None:
    store = Store(keys=2)
    store.commit()
    store.keyed.delete("k0")
    assert store.states.keys() == {"k1"}
    store.commit()
    assert store.changes.marks.keys() == {"k1"}


def test_a_key_that_is_deleted_behind_the_barrier_is_written_as_it_was_before_it() -> None:
    store = Store(keys=2)
    due = store.begin()
    store.keyed.delete("k0")
    store.write_all()
    assert store.written() == due == {"k0": [0], "k1": [0]}
    store.changes.committed()
    assert store.commit() == {"k0": None}


@pytest.mark.parametrize("slices", [0, 1])
def test_a_deleted_key_that_is_created_again_behind_the_barrier_is_a_tombstone_first(
    slices: int,
) -> None:
    store = Store(keys=1)
    store.commit()
    store.keyed.delete("k0")
    assert store.begin() == {"k0": None}
    for _ in range(slices):
        store.changes.write_slice(10)
    store.compute("k0", 7)
    store.write_all()
    assert store.written() == {"k0": None}
    store.changes.committed()
    assert store.commit() == {"k0": [7]}


@pytest.mark.parametrize("slices", [0, 1])
def test_a_tombstone_of_an_abandoned_checkpoint_is_written_by_the_next(slices: int) -> None:
    store = Store(keys=1)
    store.commit()
    store.keyed.delete("k0")
    store.begin()
    for _ in range(slices):
        store.changes.write_slice(10)
    store.changes.abandon()
    assert store.commit() == {"k0": None}
    assert store.changes.marks == {}


def test_a_key_that_is_deleted_after_its_checkpoint_was_abandoned_is_a_tombstone() -> None:
    store = Store(keys=1)
    store.begin()
    store.keyed.delete("k0")
    store.changes.abandon()
    assert store.commit() == {"k0": None}


def test_a_key_that_was_deleted_is_not_written_because_its_part_is_compacted() -> None:
    store = Store(keys=2)
    store.keyed.delete("k0")
    store.commit()
    store.keyed.mark_changed(["k0", "k1"])
    assert store.commit() == {"k1": [0]}


# Everything at once


@pytest.mark.parametrize("seed", range(200))
def test_whatever_happens_the_committed_checkpoints_make_up_the_state(seed: int) -> None:
    chance = random.Random(seed)
    store = Store()
    restored: dict[str, State | None] = {}
    """What the committed checkpoints hold, a later value instead of an earlier one."""
    at_barrier: dict[str, State | None] | None = None
    for step in range(400):
        happening = chance.random()
        if happening < 0.1:
            store.keyed.delete(f"k{chance.randrange(60)}")
        elif happening < 0.7:
            key = f"k{chance.randrange(60)}"
            store.compute(key, step, is_changed=chance.random() < 0.8)
        elif at_barrier is None and happening < 0.75:
            at_barrier = {key: [*state] for key, state in store.states.items() if state}
            store.begin()
            store.refused = {"k1", "k2"} if chance.random() < 0.3 else set()
        elif at_barrier is not None and happening < 0.8:
            store.changes.abandon()
            at_barrier = None
        elif at_barrier is not None:
            is_writing = store.changes.is_writing
            store.changes.write_slice(chance.randint(1, 20))
            if not is_writing and store.changes.error is not None:
                store.changes.abandon()
                at_barrier = None
            elif not is_writing:
                store.changes.committed()
                restored |= store.written()
                assert {key: state for key, state in restored.items() if state} == at_barrier
                at_barrier = None
