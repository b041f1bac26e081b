"""Timers, alarms and keys that expire on a worker with a real clock."""
# mypy: allow-untyped-decorators

import pytest

import wallaroo
from wallaroo.testing import TestSink, TestSource

pytestmark = pytest.mark.cluster


class Machine:
    readings = 0


@wallaroo.state_computation("watch", Machine, ttl=wallaroo.hours(1))
def watch(reading: int, machine: Machine, ctx: wallaroo.Context) -> None:
    machine.readings += 1
    ctx.set_timer("silent", ctx.time + wallaroo.minutes(5))
    ctx.set_alarm("poll", after=wallaroo.minutes(5))


@watch.on_timer("silent")
def silent(machine: Machine, ctx: wallaroo.Context) -> str:
    return f"{ctx.key} silent after {machine.readings}"


@watch.on_alarm("poll")
def poll(machine: Machine, ctx: wallaroo.Context) -> str:
    return f"{ctx.key} polled after {machine.readings}"


def machine_of(reading: int) -> str:
    return "abc"[reading % 3]


def test_timers_and_alarms_that_are_pending_fire_once_at_the_end_of_the_input() -> None:
    sink = TestSink()
    application = wallaroo.build_application(
        "machines",
        wallaroo.source("readings", TestSource([*range(7)]))
        .key_by(machine_of)
        .to(watch)
        .to_sink(sink),
    )
    result = wallaroo.run(application, workers=0)
    assert result.failure_count == 0
    assert sorted(sink.records) == [
        "a polled after 3",
        "a silent after 3",
        "b polled after 2",
        "b silent after 2",
        "c polled after 2",
        "c silent after 2",
    ]
