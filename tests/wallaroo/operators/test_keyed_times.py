"""Timers, alarms and expiry of whole applications, with clocks that the input moves."""
# mypy: allow-untyped-decorators

from typing import Any

import pytest

import wallaroo
from wallaroo import minutes, seconds
from wallaroo.testing import Advance, AdvanceWall, Record, collect

SECOND = seconds(1)


class Machine:
    def __init__(self) -> None:
        self.readings = 0
        self.last = ""


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.encoder
def encode(line: str) -> str:
    return line


@wallaroo.timestamp("ns")
def at(reading: str) -> int:
    return 0


EVENT_TIME = wallaroo.event_time(at)


def machine_of(reading: str) -> str:
    return reading.partition(" ")[0]


def run(
    computation: Any,
    items: list[Any],
    *,
    time: Any = EVENT_TIME,
    workers: int = 1,
    then: Any = None,
) -> Any:
    """Return what a computation that is keyed by machine gives for these items."""
    config = wallaroo.TCPSourceConfig("localhost", "7010", decode, time=time)
    pipeline: Any = wallaroo.source("readings", config).key_by(machine_of).to(computation)
    if then is not None:
        pipeline = pipeline.to(then)
    sink = wallaroo.TCPSinkConfig("localhost", "7002", encode, name="out")
    plan = wallaroo.build_application("machines", pipeline.to_sink(sink))
    return collect(plan, {"readings": items}, workers=workers)


def given(second: float, reading: str) -> Record:
    return Record(reading, at=seconds(second))


def watcher(**options: Any) -> Any:
    """Return a computation that says when a machine has been silent for five seconds."""

    @wallaroo.state_computation("watch", Machine, **options)
    def watch(reading: str, machine: Machine, ctx: wallaroo.Context) -> str | None:
        machine.readings += 1
        machine.last = reading
        ctx.set_timer("silent", ctx.time + 5 * SECOND)
        return None

    @watch.on_timer("silent")
    def silent(machine: Machine, ctx: wallaroo.Context) -> str:
        return f"{ctx.key} silent at {ctx.time // SECOND} after {machine.readings}"

    return watch


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


# Expiry


def forgotten(key: str, machine: Machine) -> str:
    return f"{key} forgotten after {machine.readings}"


def counter(**options: Any) -> Any:
    @wallaroo.state_computation("count", Machine, **options)
    def count(reading: str, machine: Machine) -> str:
        machine.readings += 1
        return f"{reading} {machine.readings}"

    return count


def test_a_key_is_forgotten_by_event_time_after_its_time_to_live_and_before_a_quarter_more() -> (
    None
):
    count = counter(ttl=minutes(4))
    items = [given(0, "a"), given(239, "b"), given(239.5, "a"), given(300, "c"), given(479, "a")]
    items += [given(780, "c"), given(780, "a"), given(780, "b")]
    assert run(count, items).outputs["out"] == [
        *("a 1", "b 1", "a 2", "c 1", "a 3", "c 2", "a 1", "b 1"),
    ]


def test_keys_expire_by_the_wall_clock_without_event_time() -> None:
    count = counter(ttl=minutes(4), on_expire=forgotten)
    items = ["a", AdvanceWall(minutes(3)), "b", "a", AdvanceWall(minutes(3)), "b", "a"]
    items += [AdvanceWall(minutes(3)), "b", AdvanceWall(minutes(2)), "c", "a"]
    assert run(count, items, time=None).outputs["out"] == [
        *("a 1", "b 1", "a 2", "b 2", "a 3", "b 3"),
        *("a forgotten after 3", "c 1", "a 1"),
    ]


def test_a_key_that_expires_has_no_timers_any_more() -> None:
    @wallaroo.state_computation("watch", Machine, ttl=SECOND, on_expire=forgotten)
    def watch(reading: str, machine: Machine, ctx: wallaroo.Context) -> None:
        ctx.set_timer("silent", ctx.time + 9 * SECOND)

    @watch.on_timer("silent")
    def silent(machine: Machine, ctx: wallaroo.Context) -> str:
        return "silent"

    items = [given(0, "a"), given(5, "b"), given(7, "c"), given(8.5, "c"), given(15, "c")]
    out = run(watch, items).outputs["out"]
    assert out[:2] == ["a forgotten after 0", "b forgotten after 0"]
    # The one of c, which is there until the end of the input.
    assert out.count("silent") == 1


def test_a_timer_does_not_keep_a_key() -> None:
    @wallaroo.state_computation("watch", Machine, ttl=4 * SECOND, on_expire=forgotten)
    def watch(reading: str, machine: Machine, ctx: wallaroo.Context) -> None:
        machine.readings += 1
        ctx.set_timer("tick", ctx.time + SECOND)

    @watch.on_timer("tick")
    def tick(machine: Machine, ctx: wallaroo.Context) -> str:
        machine.readings += 1
        ctx.set_timer("tick", ctx.time + SECOND)
        return f"{ctx.time // SECOND}"

    collected = run(watch, [given(0, "a"), Advance(20 * SECOND)])
    assert collected.outputs["out"][-1].startswith("a forgotten after ")
    # A key that its timers keep goes on to tick when the input has ended, after the clock's 20.
    assert "21" not in collected.outputs["out"]


def test_an_exact_state_is_not_found_by_a_record_that_is_a_time_to_live_later() -> None:
    count = counter(ttl=minutes(4), exact=True, on_expire=forgotten)
    items = [given(0, "a"), given(239, "a"), given(479, "a"), given(480, "a")]
    assert run(count, items).outputs["out"][:5] == [
        *("a 1", "a 2", "a forgotten after 2", "a 1", "a 2"),
    ]


def test_records_far_ahead_of_the_clock_do_not_let_keys_expire_too_early() -> None:
    time = wallaroo.event_time(at, out_of_order=minutes(60))
    count = counter(ttl=minutes(4))
    items = [given(0, "a"), given(3000, "b"), given(3600, "b"), given(7300, "c"), given(3700, "b")]
    items += [given(7300, "a")]
    assert run(count, items, time=time).outputs["out"] == ["a 1", "b 1", "b 2", "c 1", "b 3", "a 1"]


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


class Total:
    count = 0


def test_records_of_timers_find_keys_that_are_not_young_any_more() -> None:
    """The chain behind the timers, too, has to look into the young objects of that moment."""

    @wallaroo.state_computation_multi("watch", Machine)
    def watch(reading: str, machine: Machine, ctx: wallaroo.Context) -> list[str]:
        ctx.set_timer("tick", ctx.time + 4 * SECOND)
        return [reading]

    @watch.on_timer("tick")
    def tick(machine: Machine, ctx: wallaroo.Context) -> list[str]:
        if ctx.time < 24 * SECOND:
            ctx.set_timer("tick", ctx.time + 4 * SECOND)
        return [ctx.key]

    @wallaroo.state_computation("count", Total, ttl=seconds(8), ttl_clock="event")
    def count(word: str, total: Total, ctx: wallaroo.Context) -> str:
        total.count += 1
        return f"{word}: {total.count}"

    items = [given(1, "a"), *(given(second, "w") for second in range(4, 28))]
    out = run(watch, items, then=count).outputs["out"]
    # Each four seconds, so the total is touched in time.
    assert [line for line in out if line[0] == "a"] == [f"a: {n}" for n in range(1, 8)]


def test_all_pipelines_that_use_a_state_find_the_keys_of_the_others() -> None:
    @wallaroo.state_computation("count", ttl=seconds(8), ttl_clock="wall")
    def count(reading: str, total: Total) -> tuple[str, bool]:
        total.count += 1
        return f"{reading}: {total.count}", True

    @wallaroo.partition
    def by_machine(reading: str) -> str:
        return machine_of(reading)

    builder = wallaroo.ApplicationBuilder("machines")
    for number in (0, 1):
        config = wallaroo.TCPSourceConfig("localhost", f"701{number}", decode)
        builder.new_pipeline(f"readings {number}", config)
        builder.to_state_partition(count, Total, "totals", by_machine)
        builder.to_sink(wallaroo.TCPSinkConfig("localhost", "7002", encode, name=f"out {number}"))
    keys = [b"k%d" % number for number in range(10)]
    for first, second in ((0, 1), (1, 0)):
        # The young objects of the start are forgotten by then.
        inputs: dict[str, list[Any]] = {
            f"readings {first}": [b"before", *[AdvanceWall(seconds(3))] * 10, *keys],
            f"readings {second}": keys,
        }
        outputs = collect(builder.build(), inputs).outputs
        assert outputs[f"out {second}"] == [f"{key.decode()}: 2" for key in keys]
