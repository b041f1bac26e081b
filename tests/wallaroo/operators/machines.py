"""What tests of timers, alarms and expiry run: computations over readings of machines."""
# mypy: allow-untyped-decorators

from typing import Any

import wallaroo
from wallaroo import seconds
from wallaroo.testing import Record, collect

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
