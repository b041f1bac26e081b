"""Keys are forgotten after their time to live, and before 1.25 of it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.timing.expiry import Generations, LastTouches


class Toucher:
    """Touches keys as a chain does."""

    def __init__(self, ttl: int, now: int = 0) -> None:
        self.generations = Generations(ttl, now)

    def touch(self, key: str) -> bool:
        """Return whether the key had an object."""
        if self.generations.young.get(key) is not None:
            return True
        if self.generations.revive(key) is not None:
            return True
        self.generations.young[key] = key.upper()
        return False


@pytest.mark.parametrize("ttl", [40, 41, 43])
def test_a_key_is_there_for_its_time_to_live_and_gone_after_a_quarter_more(ttl: int) -> None:
    for seed in range(40):
        chance = random.Random(seed)
        toucher, now = Toucher(ttl, -100), -100
        last: dict[str, int] = {}
        for _ in range(300):
            now += chance.choice([0, 0, 1, 2, 5, 30])
            toucher.generations.turn(now)
            key = chance.choice("abcde")
            silent = now - last.get(key, now - 1_000)
            was_there = toucher.touch(key)
            last[key] = now
            assert was_there or silent >= ttl, f"seed {seed}"
            assert not was_there or silent < 1.25 * ttl + 4, f"seed {seed}"
        assert len(toucher.generations) == len(dict(toucher.generations.items()))


def test_a_key_that_is_touched_often_stays_in_the_young_dict() -> None:
    toucher = Toucher(40)
    toucher.touch("a")
    assert not toucher.generations.turn(9)
    assert toucher.generations.turn(10)
    assert toucher.generations.young == {}
    assert toucher.touch("a")
    assert toucher.generations.young == {"a": "A"}


def test_what_is_forgotten_is_given_in_slices_with_its_object() -> None:
    toucher = Toucher(40)
    for key in "abc":
        toucher.touch(key)
    toucher.generations.turn(50)
    assert toucher.generations.take_expired(2) == [("a", "A"), ("b", "B")]
    assert toucher.generations.take_expired(2) == [("c", "C")]
    assert toucher.generations.take_expired(2) == []
    toucher.touch("d")
    toucher.generations.turn(9_999)
    toucher.generations.drop_expired()
    assert toucher.generations.take_expired(2) == []
    assert len(toucher.generations) == 0


def test_a_look_at_a_key_does_not_touch_it() -> None:
    toucher = Toucher(40)
    toucher.touch("a")
    toucher.generations.turn(20)
    assert toucher.generations.peek("a") == "A"
    assert toucher.generations.peek("b") is None
    assert toucher.generations.young == {}


def test_keys_that_move_leave_from_all_generations() -> None:
    toucher = Toucher(40)
    toucher.touch("a")
    toucher.generations.turn(10)
    toucher.touch("b")
    assert toucher.generations.remove(["a", "b", "c"]) == {"a": "A", "b": "B"}
    assert len(toucher.generations) == 0


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_restored_key_lives_as_long_as_it_would_have(touched: int, restored_after: int) -> None:
    now = touched + restored_after
    generations = Generations(40, now)
    generations.restore({"a": "A"}, touched)
    is_there = generations.peek("a") is not None
    assert is_there or restored_after >= 40
    assert not is_there or restored_after < 50
    generations.turn(touched + 50)
    assert generations.peek("a") is None or now >= touched + 50


def test_an_exact_state_is_gone_for_a_record_that_is_a_time_to_live_later() -> None:
    touches = LastTouches(40)
    assert not touches.touch("a", 100)
    assert touches.touch("a", 139)
    assert touches.touch("a", 120)
    assert not touches.touch("a", 179)
    restored = LastTouches(40, dict(touches.times))
    assert restored.touch("a", 200)
    restored.remove(["a", "b"])
    assert not restored.touch("a", 201)
