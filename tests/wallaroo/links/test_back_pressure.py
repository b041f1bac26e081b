"""When sources pause: the own backlog between two marks, and what the others say."""

from wallaroo.links.back_pressure import HIGH_WATER_BYTES, LOW_WATER_BYTES, Pressure
from wallaroo.names import WorkerName

W1, W2 = WorkerName("w1"), WorkerName("w2")


def test_a_backlog_presses_from_above_the_high_mark_down_to_the_low_one() -> None:
    pressure = Pressure()
    steps = [
        (HIGH_WATER_BYTES, False),
        (HIGH_WATER_BYTES + 1, True),
        (HIGH_WATER_BYTES, True),
        (LOW_WATER_BYTES + 1, True),
        (LOW_WATER_BYTES, False),
        (HIGH_WATER_BYTES, False),
        (2 * HIGH_WATER_BYTES, True),
        (0, False),
    ]
    was_pressed = False
    for backlog_bytes, is_pressed in steps:
        assert pressure.backlog_changed(backlog_bytes) is (is_pressed is not was_pressed)
        assert pressure.is_under_pressure is pressure.must_pause is is_pressed
        was_pressed = is_pressed


def test_a_worker_that_will_soon_wait_for_its_inbox_keeps_it_small() -> None:
    pressure = Pressure(6400, 3200)
    assert pressure.backlog_changed(1000, 1000) is False
    pressure.narrow()
    seen = []
    # The parts of the backlog in other queues and in sinks do not matter.
    for inbox_bytes in (100, 101, 51, 50, 100, 0):
        pressure.backlog_changed(3000, inbox_bytes)
        seen.append((pressure.is_under_pressure, pressure.is_small(inbox_bytes)))
    assert seen == [
        (False, True),
        (True, False),
        (True, True),
        (False, True),
        (False, True),
        (False, True),
    ]
    pressure.backlog_changed(3000, 200)
    pressure.widen()
    assert pressure.backlog_changed(3000, 200) is True
    assert not pressure.is_under_pressure


def test_the_marks_are_far_enough_apart_not_to_flutter() -> None:
    assert 0 < LOW_WATER_BYTES <= HIGH_WATER_BYTES // 2


def test_sources_pause_while_any_worker_asks_for_it() -> None:
    pressure = Pressure()
    seen = []
    for worker, is_pressed in ((W2, True), (W1, True), (W2, True), (W2, False), (W1, False)):
        pressure.other_changed(worker, is_under_pressure=is_pressed)
        seen.append((pressure.must_pause, pressure.causes))
    assert seen == [
        (True, [W2]),
        (True, [W1, W2]),
        (True, [W1, W2]),
        (True, [W1]),
        (False, []),
    ]


def test_what_others_ask_for_is_not_passed_on_as_ones_own() -> None:
    pressure = Pressure()
    pressure.other_changed(W1, is_under_pressure=True)
    assert not pressure.is_under_pressure
    assert not pressure.backlog_changed(0)


def test_a_worker_that_was_never_under_pressure_may_be_let_go() -> None:
    pressure = Pressure()
    pressure.other_changed(W1, is_under_pressure=False)
    assert not pressure.must_pause
