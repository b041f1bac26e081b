"""Timers and alarms of whole applications, with clocks that the input moves."""
# mypy: allow-untyped-decorators

from typing import Any

import pytest

import wallaroo
from tests.wallaroo.operators.machines import (
    EVENT_TIME,
    SECOND,
    Machine,
    decode,
    encode,
    given,
    machine_of,
    run,
    watcher,
)
from wallaroo.testing import Advance, AdvanceWall, Record, collect


@pytest.mark.parametrize("workers", [1, 3])
def test_a_timer_fires_once_event_time_reaches_it_and_setting_it_again_moves_it(
    workers: int,
) -> None:
    items = [given(0, "a"), given(3, "a"), given(4, "b"), given(8, "c"), given(9, "c")]
    items += [given(20, "d"), given(20, "c")]
    collected = run(watcher(), items, workers=workers)
    assert collected.failures == ()
    assert sorted(collected.outputs["out"]) == [
        "a silent at 8 after 2",
        "b silent at 9 after 1",
        "c silent at 14 after 2",
        "c silent at 25 after 3",
        "d silent at 25 after 1",
    ]


def test_timers_fire_in_the_order_of_their_times() -> None:
    items = [given(1, "b"), given(0, "a"), given(30, "c"), given(30, "b")]
    assert run(watcher(), items).outputs["out"] == [
        "a silent at 5 after 1",
        "b silent at 6 after 1",
        "c silent at 35 after 1",
        "b silent at 35 after 2",
    ]


def test_a_timer_that_is_due_already_fires_before_the_next_record() -> None:
    @wallaroo.state_computation("watch", Machine)
    def watch(reading: str, machine: Machine, ctx: wallaroo.Context) -> str:
        ctx.set_timer("now", ctx.watermark)
        return reading

    @watch.on_timer("now")
    def now(machine: Machine, ctx: wallaroo.Context) -> str:
        return f"{ctx.key} now"

    items = [given(1, "a"), given(2, "b"), given(3, "c")]
    assert run(watch, items).outputs["out"] == ["a", "a now", "b", "b now", "c", "c now"]


def test_a_timer_may_set_itself_again_and_ends_with_the_input() -> None:
    @wallaroo.state_computation("tick", Machine)
    def tick(reading: str, machine: Machine, ctx: wallaroo.Context) -> None:
        ctx.set_timer("tick", ctx.time + SECOND)

    @tick.on_timer("tick")
    def ticks(machine: Machine, ctx: wallaroo.Context) -> str:
        ctx.set_timer("tick", ctx.time + SECOND)
        return f"{ctx.time // SECOND}"

    collected = run(tick, [given(0, "a"), Advance(3 * SECOND)])
    assert collected.outputs["out"] == ["1", "2", "3", "4"]


def test_several_names_are_timers_of_their_own_and_one_can_cancel_another() -> None:
    @wallaroo.state_computation("watch", Machine)
    def watch(reading: str, machine: Machine, ctx: wallaroo.Context) -> None:
        ctx.set_timer("first", ctx.time + SECOND)
        ctx.set_timer("second", ctx.time + 2 * SECOND)
        ctx.set_timer("third", ctx.time + 2 * SECOND)

    @watch.on_timer("first")
    def first(machine: Machine, ctx: wallaroo.Context) -> str:
        assert ctx.cancel("second")
        assert not ctx.cancel("second")
        return "first"

    @watch.on_timer("second")
    def second(machine: Machine, ctx: wallaroo.Context) -> str:
        return "second"

    @watch.on_timer("third")
    def third(machine: Machine, ctx: wallaroo.Context) -> str:
        return "third"

    items = [given(0, "a"), Advance(10 * SECOND), given(10, "a")]
    assert run(watch, items).outputs["out"] == ["first", "third", "first", "third"]


def poller() -> Any:
    @wallaroo.state_computation("poll", Machine)
    def poll(reading: str, machine: Machine, ctx: wallaroo.Context) -> str:
        ctx.set_alarm("poll", after=SECOND)
        return f"{reading} read at {ctx.read_time // SECOND}"

    @poll.on_alarm("poll")
    def polled(machine: Machine, ctx: wallaroo.Context) -> str:
        return f"{ctx.key} polled at {ctx.time // SECOND}"

    return poll


@pytest.mark.parametrize("time", [None, EVENT_TIME])
def test_an_alarm_fires_once_the_wall_clock_reaches_it(time: Any) -> None:
    items = [AdvanceWall(7 * SECOND), "a", AdvanceWall(SECOND // 2), "a", AdvanceWall(SECOND), "b"]
    collected = run(
        poller(),
        [*items, AdvanceWall(5 * SECOND)]
        if time is None
        else [
            item if not isinstance(item, str) else Record(item, at=0)
            for item in [*items, AdvanceWall(5 * SECOND)]
        ],
        time=time,
    )
    assert collected.outputs["out"] == [
        "a read at 7",
        "a read at 7",
        "a polled at 8",
        "b read at 8",
        "b polled at 9",
    ]


def test_alarms_that_are_pending_at_the_end_of_the_input_fire_once() -> None:
    collected = run(poller(), ["a"], time=None)
    assert collected.outputs["out"] == ["a read at 0", "a polled at 1"]


@pytest.mark.parametrize("how", ["remove_state", "DELETE"])
def test_a_state_that_is_removed_has_no_timers_any_more(how: str) -> None:
    @wallaroo.state_computation("watch", Machine)
    def watch(reading: str, machine: Machine, ctx: wallaroo.Context) -> Any:
        machine.readings += 1
        ctx.set_timer("silent", ctx.time + SECOND)
        ctx.set_alarm("poll", SECOND)
        if reading.endswith("bye"):
            if how == "DELETE":
                return f"{machine.readings}", wallaroo.DELETE
            ctx.remove_state()
        return f"{machine.readings}"

    @watch.on_timer("silent")
    @watch.on_alarm("poll")
    def wrong(machine: Machine, ctx: wallaroo.Context) -> str:
        return "wrong"

    items = [given(0, "a"), given(0.5, "a bye"), given(9, "a"), given(9.1, "a bye")]
    assert run(watch, items).outputs["out"] == ["1", "2", "1", "2"]


def test_the_pair_form_says_in_timers_too_whether_the_state_has_changed() -> None:
    @wallaroo.state_computation("count")
    def count(reading: str, machine: Machine, ctx: wallaroo.Context) -> tuple[str | None, bool]:
        machine.readings += 1
        ctx.set_timer("silent", ctx.time + SECOND)
        return None, True

    @count.on_timer("silent")
    def silent(machine: Machine, ctx: wallaroo.Context) -> Any:
        return f"{ctx.key} {machine.readings}", wallaroo.DELETE

    config = wallaroo.TCPSourceConfig("localhost", "7010", decode, time=EVENT_TIME)
    partition = wallaroo.partition(machine_of)
    plan = wallaroo.build_application(
        "machines",
        wallaroo.source("readings", config)
        .to_state_partition(count, Machine, "machines", partition)
        .to_sink(wallaroo.TCPSinkConfig("localhost", "7002", encode, name="out")),
    )
    items = [given(0, "a"), given(0.1, "a"), given(5, "b"), given(5, "a")]
    assert collect(plan, {"readings": items}).outputs["out"] == ["a 2", "b 1", "a 1"]


def test_a_multi_computation_gives_lists_from_its_timers() -> None:
    @wallaroo.state_computation_multi("count", Machine)
    def count(reading: str, machine: Machine, ctx: wallaroo.Context) -> list[str]:
        ctx.set_timer("silent", ctx.time + SECOND)
        return [reading]

    @count.on_timer("silent")
    def silent(machine: Machine, ctx: wallaroo.Context) -> list[str]:
        return ["one", "two"]

    assert run(count, [given(0, "a")]).outputs["out"] == ["a", "one", "two"]


def test_a_timer_that_fails_is_a_dead_letter_with_its_key_and_name_and_others_go_on() -> None:
    @wallaroo.state_computation("watch", Machine)
    def watch(reading: str, machine: Machine, ctx: wallaroo.Context) -> None:
        ctx.set_timer("silent", ctx.time + SECOND)
        name = f"{reading} timer"
        if reading == "c":
            ctx.set_timer(name, ctx.time)

    @watch.on_timer("silent")
    def silent(machine: Machine, ctx: wallaroo.Context) -> str:
        if ctx.key == "a":
            raise KeyError("no")
        return f"{ctx.key} silent"

    collected = run(watch, [given(0, "a"), given(0, "b"), given(0, "c")])
    assert sorted(collected.outputs["out"]) == ["b silent", "c silent"]
    unknown, failed = collected.failures
    assert (unknown.step, unknown.key) == ("watch", "c")
    assert unknown.error.startswith("ValueError: no function handles the timer 'c timer'; write")
    assert (failed.step, failed.key) == ("timer 'silent' of watch", "a")
    assert failed.error == "KeyError: 'no'"


@pytest.mark.parametrize(
    ("at", "error"),
    [
        ("soon", "TypeError: at of set_timer() is of type str; give nanoseconds"),
        (True, "TypeError: at of set_timer() is of type bool; give nanoseconds"),
        (1 << 63, "ValueError: a timer is set for 9223372036854775808, which is after 2116"),
    ],
)
def test_a_time_that_makes_no_sense_is_a_dead_letter(at: Any, error: str) -> None:
    @wallaroo.state_computation("watch", Machine)
    def watch(reading: str, machine: Machine, ctx: wallaroo.Context) -> None:
        ctx.set_timer("silent", at)

    @watch.on_timer("silent")
    def silent(machine: Machine, ctx: wallaroo.Context) -> None: ...

    (failure,) = run(watch, [given(0, "a")]).failures
    assert failure.error.startswith(error)


def test_what_a_timer_gives_goes_on_to_the_next_step_and_counts_there() -> None:
    @wallaroo.state_computation("count", Machine)
    def count(line: str, machine: Machine) -> str:
        machine.readings += 1
        return f"{line} ({machine.readings})"

    collected = run(
        watcher(),
        [given(0, "a"), given(0, "b"), given(10, "c"), given(10, "a")],
        then=count,
        workers=2,
    )
    assert sorted(collected.outputs["out"]) == [
        "a silent at 15 after 2 (2)",
        "a silent at 5 after 1 (1)",
        "b silent at 5 after 1 (1)",
        "c silent at 15 after 1 (1)",
    ]
