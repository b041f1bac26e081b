"""Keys of a state are read one after the other while others come and go."""

import random

import pytest

from wallaroo.operators.keyed_state import KeyedState


def state_of(count: int) -> KeyedState:
    return KeyedState({f"k{number}": number for number in range(count)})


def test_a_cursor_reads_all_keys_in_slices_and_then_those_that_were_added() -> None:
    state = state_of(5)
    cursor = state.cursor()
    assert cursor.read(3) == ["k0", "k1", "k2"]
    state.put("late", 0)
    assert cursor.read(3) == ["k3", "k4", "late"]
    assert cursor.read(3) == []
    assert cursor.is_at_end(6)


def test_a_cursor_reads_late_keys_though_others_were_deleted() -> None:
    state = state_of(5)
    cursor = state.cursor()
    cursor.read(5)
    for key in ("k0", "k3", "k4"):
        state.delete(key)
    state.put("late", 0)
    assert cursor.read(9) == ["late"]


def test_a_key_that_was_deleted_and_created_again_is_read_once() -> None:
    state = state_of(3)
    cursor = state.cursor()
    cursor.read(3)
    state.delete("k1")
    state.put("late", 0)
    state.put("k1", 1)
    assert cursor.read(9) == ["late"]


@pytest.mark.parametrize("seed", range(100))
def test_each_key_that_stays_is_read_once(seed: int) -> None:
    chance = random.Random(seed)
    state = state_of(30)
    cursor, found = state.cursor(), list[str]()
    stays = {*state}
    for step in range(100):
        key = f"k{chance.randrange(60)}"
        if chance.random() < 0.4:
            state.delete(key)
            stays.discard(key)
        elif key not in state:
            state.put(key, step)
            stays.add(key)
        if chance.random() < 0.3:
            found += cursor.read(chance.randint(1, 9))
    found += cursor.read(100)
    assert len({*found}) == len(found)
    assert stays <= {*found}


def test_what_moves_away_or_is_deleted_is_gone_at_once() -> None:
    state = KeyedState({"a": 1, "b": 2, "c": 3}, tracks_changes=True)
    state.delete("a")
    state.drop(["b"])
    assert dict(state) == {"c": 3}
