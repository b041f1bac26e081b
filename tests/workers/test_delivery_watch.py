"""The looks at what sinks have taken: soon after output, ever less often, none without need."""

import asyncio
from typing import Any

import pytest

from wallaroo.metrics.deliveries import Deliveries
from wallaroo_workers.delivery_watch import LOOK_MAX_S, LOOK_S, DeliveryWatch


class Timers:
    """The timers of a loop that never wait; ``run`` runs the next one."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Any]] = []

    def call_later(self, after_s: float, callback: Any) -> "Timers":
        self.waiting.append((after_s, callback))
        return self

    def cancel(self) -> None:
        self.waiting.pop()

    def run(self) -> float:
        [(after_s, callback)] = self.waiting
        self.waiting.clear()
        callback()
        return after_s


@pytest.fixture
def timers(monkeypatch: pytest.MonkeyPatch) -> Timers:
    made = Timers()
    monkeypatch.setattr(asyncio, "get_running_loop", lambda: made)
    return made


def handed(deliveries: Deliveries) -> None:
    deliveries.handed(0, 10, 1)
    deliveries.flushed(has_output=True)


def test_looks_become_rarer_while_nothing_is_taken_and_end_when_all_is(timers: Timers) -> None:
    deliveries, taken = Deliveries([0], 1, lambda: 1), [0]
    DeliveryWatch(deliveries, lambda: taken)
    handed(deliveries)
    waits = [timers.run() for _ in range(10)]
    assert waits[:4] == [LOOK_S, LOOK_S, 2 * LOOK_S, 4 * LOOK_S]
    assert waits[-1] == LOOK_MAX_S
    taken[0] = 10
    timers.run()
    assert timers.waiting == []
    assert not deliveries.has_pending()


def test_however_many_turns_there_are_looks_are_no_more(timers: Timers) -> None:
    deliveries, looks = Deliveries([0], 1, lambda: 1), []
    DeliveryWatch(deliveries, lambda: looks.append(1) or [0])  # type: ignore[func-returns-value]
    for _ in range(20):
        for _ in range(50):
            handed(deliveries)
        assert timers.run() == LOOK_S
    assert len(looks) == 20


def test_new_output_is_looked_for_soon_and_by_one_timer(timers: Timers) -> None:
    deliveries = Deliveries([0], 1, lambda: 1)
    watch = DeliveryWatch(deliveries, lambda: [0])
    handed(deliveries)
    handed(deliveries)
    assert len(timers.waiting) == 1
    for _ in range(5):
        timers.run()
    handed(deliveries)
    assert [after_s for after_s, _ in timers.waiting] == [LOOK_S]
    watch.end()
    assert timers.waiting == []
    handed(deliveries)
    assert timers.waiting == []
