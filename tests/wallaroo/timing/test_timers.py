"""Timers: they are given as a sorted list would give them, whatever happens meanwhile."""

import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

import pytest

from wallaroo.timing.keyed_timing import NAME_BYTES_MAX, TIMERS_OF_KEY_MAX
from wallaroo.timing.timers import SLOT_BITS, NamedTimers, OneTimer

SLOT = 1 << SLOT_BITS
KEYS = ["a", "b", 3, b"d", ("e", 1)]
"""Keys of different kinds cannot be compared with each other."""


def test_a_timer_is_given_once_when_the_clock_is_at_its_time() -> None:
    timers = OneTimer()
    timers.set("a", 5)
    assert [*timers.take(4)] == []
    assert [*timers.take(5)] == [(5, "a")]
    assert [*timers.take(10 * SLOT)] == []


def test_a_timer_that_is_set_again_moves() -> None:
    timers = OneTimer()
    timers.set("a", 5)
    timers.set("a", 3 * SLOT)
    assert [*timers.take(2 * SLOT)] == []
    timers.set("a", 2 * SLOT + 1)
    assert [*timers.take(3 * SLOT)] == [(2 * SLOT + 1, "a")]


def test_a_cancelled_timer_is_not_given() -> None:
    timers = OneTimer()
    timers.set("a", 5)
    assert timers.cancel("a")
    assert not timers.cancel("a")
    assert [*timers.take(5)] == []


def test_a_timer_that_is_set_in_a_timer_for_the_same_time_is_given_once() -> None:
    timers = OneTimer()
    timers.set("a", 5)
    timers.set("b", 7)
    given = []
    for time, key in timers.take(10):
        given.append((time, key))
        if len(given) == 1:
            timers.set("a", 5)
    assert given == [(5, "a"), (5, "a"), (7, "b")]


def test_a_timer_at_or_before_the_clock_is_given_in_the_same_turn() -> None:
    timers = OneTimer()
    timers.set("a", SLOT)
    assert [*timers.take(2 * SLOT)] == [(SLOT, "a")]
    timers.set("a", 3)
    assert [*timers.take(2 * SLOT)] == [(3, "a")]


def test_a_timer_that_is_moved_while_it_waits_to_be_given_is_given_at_its_new_time() -> None:
    timers = OneTimer()
    for key in "abc":
        timers.set(key, 5)
    assert [*islice(timers.take(9), 1)] == [(5, "a")]
    timers.set("b", 8)
    timers.set("c", 4 * SLOT)
    assert [*timers.take(9)] == [(8, "b")]
    assert [*timers.take(5 * SLOT)] == [(4 * SLOT, "c")]


def test_timers_are_restored_from_what_was_saved() -> None:
    timers = OneTimer({"a": 5, "b": 3})
    timers.set("c", 4)
    assert [*islice(timers.take(9), 1)] == [(3, "b")]
    assert [*OneTimer(dict(timers.due)).take(9)] == [(4, "c"), (5, "a")]
    named = NamedTimers({"a": {"x": 5, "y": 3}})
    assert [*named.take(9)] == [(3, "a", "y"), (5, "a", "x")]


def test_timers_of_one_key_are_given_by_time_and_then_as_they_were_set() -> None:
    timers = NamedTimers()
    for name, time in [("x", 5), ("y", 5), ("z", 4), ("x", 5)]:
        timers.set("a", name, time)
    assert [name for _, _, name in timers.take(5)] == ["z", "y", "x"]


def test_names_of_a_key_are_cancelled_alone_or_together() -> None:
    timers = NamedTimers()
    for name in "xyz":
        timers.set("a", name, 5)
    assert timers.cancel("a", "x")
    assert not timers.cancel("a", "x")
    assert not timers.cancel("b", "x")
    assert timers.cancel_all("a") == 2
    assert timers.due == {}
    assert [*timers.take(5)] == []


def test_limits_keep_one_key_from_filling_the_memory() -> None:
    timers = NamedTimers()
    with pytest.raises(ValueError, match="bytes"):
        timers.set("a", "x" * (NAME_BYTES_MAX + 1), 5)
    for number in range(TIMERS_OF_KEY_MAX):
        timers.set("b", str(number), 5)
    with pytest.raises(ValueError, match="1000 timers already"):
        timers.set("b", "one more", 5)
    timers.set("b", "7", 6)


class SortedTimers:
    """Does the same with a list."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, int, Any, str]] = []
        self.number = 0

    def set(self, key: Any, name: str, time: int) -> None:
        self.cancel(key, name)
        self.number += 1
        self.entries.append((time, self.number, key, name))

    def cancel(self, key: Any, name: str) -> None:
        self.entries = [each for each in self.entries if each[2:] != (key, name)]

    def accept(self, given: tuple[int, Any, str] | None, clock: int) -> None:
        """Check that a timer is one of those that may be given now; between keys no order is
        promised at the same time."""
        due = [each for each in sorted(self.entries, key=lambda each: each[:2]) if each[0] <= clock]
        if given is None:
            assert due == []
            return
        time, key, name = given
        assert time == due[0][0]
        assert name == next(each[3] for each in due if each[2] == key)
        self.cancel(key, name)


@pytest.mark.parametrize("names", [["only"], ["x", "y", "z"]])
def test_timers_are_those_of_a_sorted_list(names: list[str]) -> None:
    for seed in range(60):
        _compare(random.Random(seed), names)


def _compare(chance: random.Random, names: list[str]) -> None:
    timers = _One() if len(names) == 1 else NamedTimers()
    expected = SortedTimers()
    clock = -3 * SLOT
    for _ in range(300):
        action = chance.random()
        key, name = chance.choice(KEYS), chance.choice(names)
        if action < 0.5:
            time = clock + chance.choice([-2, 0, 1, 5, SLOT // 3, SLOT, 3 * SLOT])
            timers.set(key, name, time)
            expected.set(key, name, time)
        elif action < 0.55:
            is_pending = any(each[2:] == (key, name) for each in expected.entries)
            assert timers.cancel(key, name) == is_pending
            expected.cancel(key, name)
        elif action < 0.7:
            clock += chance.choice([1, 7, SLOT // 2, 2 * SLOT])
        else:
            # One is given at a time, as if the firing was interrupted.
            expected.accept(next(timers.take(clock), None), clock)
        if len(names) > 1:
            assert timers.count == len(expected.entries)
    for given in timers.take(clock + 9 * SLOT):
        expected.accept(given, clock + 9 * SLOT)
    assert expected.entries == []
    assert not timers.due


class _One(NamedTimers):
    """``OneTimer`` with the methods of ``NamedTimers``."""

    def __init__(self) -> None:
        super().__init__()
        self._one = OneTimer()

    def set(self, key: Any, name: str, time: int) -> None:
        self._one.set(key, time)

    def cancel(self, key: Any, name: str) -> bool:
        return self._one.cancel(key)

    def take(self, clock: int) -> Iterator[tuple[int, Any, str]]:
        return ((time, key, "only") for time, key in self._one.take(clock))
