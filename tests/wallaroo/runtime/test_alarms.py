"""Functions that are called at a time, with one timer of the event loop for the earliest."""

from collections.abc import Callable

import pytest

from wallaroo.runtime.alarms import Alarms, EarliestAlarm


class Loop:
    """A clock, and timers that a test lets ring."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.timers: list[tuple[float, Callable[[], object]]] = []
        self.alarms = Alarms(lambda: self.now_s, self.call_later)
        self.rang: list[str] = []

    def call_later(self, delay_s: float, run: Callable[[], object]) -> None:
        self.timers.append((self.now_s + delay_s, run))

    def at(self, when_s: float, name: str) -> None:
        self.alarms.at(when_s, lambda: self.rang.append(name))

    def go_to(self, now_s: float) -> None:
        while due := [each for each in self.timers if each[0] <= now_s]:
            first = min(due, key=lambda each: each[0])
            self.timers.remove(first)
            self.now_s = max(self.now_s, first[0])
            first[1]()
        self.now_s = now_s


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_alarms_ring_in_the_order_of_their_times(loop: Loop) -> None:
    loop.at(3, "c")
    loop.at(1, "a")
    loop.at(2, "b")
    loop.go_to(2.5)
    assert loop.rang == ["a", "b"]
    loop.go_to(3)
    assert loop.rang == ["a", "b", "c"]


def test_only_an_earlier_alarm_needs_another_timer(loop: Loop) -> None:
    loop.at(1, "a")
    for _ in range(100):
        loop.at(2, "later")
    assert len(loop.timers) == 1
    loop.at(0.5, "earlier")
    assert len(loop.timers) == 2
    loop.go_to(1)
    assert loop.rang == ["earlier", "a"]
    assert [when_s for when_s, _ in loop.timers] == [2]


def test_a_timer_that_was_replaced_does_no_harm(loop: Loop) -> None:
    loop.at(2, "b")
    loop.at(1, "a")
    loop.go_to(5)
    assert loop.rang == ["a", "b"]
    assert loop.timers == []


def test_a_time_in_the_past_is_soon(loop: Loop) -> None:
    loop.now_s = 5
    loop.at(1, "late")
    assert loop.rang == []
    loop.go_to(5)
    assert loop.rang == ["late"]


def test_a_timer_that_rings_too_early_is_set_again(loop: Loop) -> None:
    loop.at(1, "a")
    ((_, ring),) = loop.timers
    loop.timers.clear()
    loop.now_s = 0.999
    ring()
    assert loop.rang == []
    loop.go_to(1)
    assert loop.rang == ["a"]


def test_cleared_alarms_never_ring(loop: Loop) -> None:
    loop.at(1, "a")
    loop.alarms.clear()
    loop.at(2, "b")
    loop.go_to(3)
    assert loop.rang == ["b"]


def test_of_the_times_that_somebody_waits_for_the_earliest_rings_alone(loop: Loop) -> None:
    alarm: EarliestAlarm[float] = EarliestAlarm(loop.alarms.at, lambda: loop.rang.append("next"))
    for when_s in (5.0, 3.0, 4.0):
        alarm.set(when_s)
    loop.go_to(4.5)
    assert loop.rang == ["next"]
    # The one at 5 was set before, and is not the next one any more.
    loop.go_to(6.0)
    assert loop.rang == ["next"]
    alarm.set(7.0)
    loop.go_to(7.0)
    assert loop.rang == ["next", "next"]
