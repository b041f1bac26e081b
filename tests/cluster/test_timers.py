"""Timers, alarms and keys that expire on a worker with a real clock."""
# mypy: allow-untyped-decorators

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import wallaroo
from tests.cluster.harness import Receiver, free_ports
from tests.cluster.observed import Observed, observed
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


def timed_metrics(run: Observed) -> Counter[str]:
    """Return the metrics of timers and expiry of all workers, as Prometheus reads them."""
    found: Counter[str] = Counter()
    for name, samples in run.scraped().items():
        for each in samples:
            if each.labels.get("state") == "watch" and name in METRICS:
                found[f"{name} {each.labels.get('kind', '')}".strip()] += int(each.value)
    return +found


METRICS = ("wallaroo_timers_pending", "wallaroo_timers_fired_total", "wallaroo_expired_total")


async def test_prometheus_reads_what_is_pending_what_has_fired_and_what_has_expired(
    tmp_path: Path,
) -> None:
    receiver = Receiver()
    async with observed(
        "watched_machines", tmp_path, [receiver.address], workers=2, ports=free_ports(1)
    ) as run:

        async def wait_metrics(what: str, expected: dict[str, int]) -> None:
            def is_there(_: dict[str, Any]) -> bool:
                return timed_metrics(run) == Counter(expected)

            await run.until(what, is_there)

        await run.send("readings", [b"drill 0", b"saw 1", b"drill 2"])
        await wait_metrics(
            "all timers are pending",
            {"wallaroo_timers_pending timer": 4, "wallaroo_timers_pending alarm": 2},
        )
        await run.send("readings", [b"lathe 6000"])
        await wait_metrics(
            "both machines are silent and have expired",
            {
                "wallaroo_timers_pending timer": 2,
                "wallaroo_timers_pending alarm": 1,
                "wallaroo_timers_fired_total timer": 2,
                "wallaroo_expired_total": 2,
            },
        )
        assert "wallaroo_windows_open" not in run.scraped()
