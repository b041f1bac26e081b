"""Keys are forgotten after their time to live, and before 1.25 of it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.timing.expiry import Generations


class Toucher:
    """Touches keys as a chain does."""

    def __init__(self, ttl: int) -> None:
        self.generations = Generations(ttl)

    def at(self, now: int) -> None:
        """Let it be ``now``, and forget what has expired."""
        self.generations.turn(now)
        self.generations.expire(now)
        self.forgotten()

    def touch(self, key: str) -> bool:
        """Return whether the key had an object."""
        if self.generations.young.get(key) is not None:
            return True
        if self.generations.revive(key) is not None:
            return True
        self.generations.young[key] = key.upper()
        return False

    def forgotten(self) -> list[str]:
        """Forget all that has expired; return the keys."""
        keys = []
        while (found := self.generations.next_expired()) is not None:
            key, _ = found
            holding = self.generations.holding(key)
            assert holding is not None
            del holding[key]
            keys.append(key)
        return keys


@pytest.mark.parametrize("ttl", [40, 41, 43])
def test_a_key_is_there_for_its_time_to_live_and_gone_after_a_quarter_more(ttl: int) -> None:
    for seed in range(40):
        chance = random.Random(seed)
        toucher, now = Toucher(ttl), -100
        last: dict[str, int] = {}
        for _ in range(300):
            now += chance.choice([0, 0, 1, 2, 5, 30])
            toucher.at(now)
            key = chance.choice("abcde")
            silent = now - last.get(key, now - 1_000)
            was_there = toucher.touch(key)
            last[key] = now
            assert was_there or silent >= ttl, f"seed {seed}"
            assert not was_there or silent < 1.25 * ttl + 4, f"seed {seed}"
        assert len(toucher.generations) == len(dict(toucher.generations.items()))


def test_a_key_that_is_touched_often_stays_in_the_young_dict() -> None:
    toucher = Toucher(40)
    toucher.at(0)
    toucher.touch("a")
    assert not toucher.generations.turn(9)
    assert toucher.generations.turns_at == 10
    assert toucher.generations.turn(10)
    assert toucher.generations.young == {}
    assert toucher.touch("a")
    assert toucher.generations.young == {"a": "A"}


def test_records_that_are_ahead_of_the_clock_keep_their_keys_when_it_jumps() -> None:
    toucher = Toucher(40)
    toucher.generations.turn(0)
    toucher.touch("early")
    toucher.generations.turn(1_000)
    toucher.touch("late")
    toucher.generations.expire(1_005)
    assert toucher.forgotten() == ["early"]
    assert toucher.touch("late")


def test_a_key_that_is_being_forgotten_is_there_until_it_is_removed() -> None:
    toucher = Toucher(40)
    toucher.at(0)
    toucher.touch("a")
    toucher.touch("b")
    toucher.generations.expire(50)
    assert toucher.generations.has_expired
    assert len(toucher.generations) == 2
    assert toucher.touch("a")
    assert toucher.forgotten() == ["b"]


def test_a_look_at_a_key_does_not_touch_it() -> None:
    toucher = Toucher(40)
    toucher.at(0)
    toucher.touch("a")
    toucher.at(20)
    assert toucher.generations.holding("a") == {"a": "A"}
    assert toucher.generations.holding("b") is None
    assert toucher.generations.young == {}


def test_the_next_keys_expire_when_their_quarter_is_over_for_a_time_to_live() -> None:
    toucher = Toucher(40)
    assert toucher.generations.expires_at() is None
    toucher.at(7)
    toucher.touch("a")
    assert toucher.generations.expires_at() == 50
    toucher.at(20)
    toucher.touch("b")
    assert toucher.generations.expires_at() == 50
    toucher.at(50)
    assert toucher.generations.expires_at() == 70


@given(st.integers(0, 300), st.integers(0, 300))
def test_a_restored_key_lives_as_long_as_it_would_have(touched: int, restored_after: int) -> None:
    now = touched + restored_after
    generations = Generations(40)
    generations.young["a"] = "A"
    generations.rebuild({"a": generations.quarter_of(touched)})
    generations.turn(now)
    generations.expire(now)
    is_there = not generations.has_expired
    assert is_there or restored_after >= 40
    assert not is_there or restored_after < 50
    generations.expire(touched + 50)
    assert generations.has_expired


def test_a_restored_key_without_a_time_starts_to_live_with_the_first_time() -> None:
    generations = Generations(40)
    generations.young["a"] = "A"
    generations.rebuild({})
    generations.turn(1_000)
    generations.expire(1_049)
    assert not generations.has_expired
    generations.expire(1_050)
    assert generations.has_expired
