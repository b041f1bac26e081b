"""Keys of whole applications that expire, with clocks that the input moves."""
# mypy: allow-untyped-decorators

from typing import Any

import wallaroo
from tests.wallaroo.operators.machines import (
    SECOND,
    Machine,
    at,
    decode,
    encode,
    given,
    machine_of,
    run,
)
from wallaroo import minutes, seconds
from wallaroo.testing import Advance, AdvanceWall, collect


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
