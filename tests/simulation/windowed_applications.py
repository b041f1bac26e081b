"""Applications for the simulation with windows by event time.

There is one sender, whose records are out of order by less than is declared. So no record is late,
wherever the sender reconnects and whatever is replayed, and every window has exactly what it has
in a plain run.
"""

import random
from collections.abc import Callable
from typing import Any

import wallaroo
from tests.simulation.applications import Case
from wallaroo import aggregate
from wallaroo.topology.plan import Application

Record = tuple[str, int, int]
"""Key, time in milliseconds, and number."""

BOUND_MS = 40


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> Record:
    key, time, number = payload.decode().split(":")
    return key, int(time), int(number)


@wallaroo.timestamp("ms")
def at(record: Record) -> int:
    return record[1]


@wallaroo.key_extractor
def key_of(record: Record) -> str:
    return record[0]


@wallaroo.encoder
def encode(result: Any) -> str:
    # A sender that comes back by another worker may overtake its own records.
    value = sorted(result.value) if isinstance(result.value, list) else result.value
    return f"{result.key} {result.start} {result.end} {value} {result.kind}\n"


def number_of(record: Record) -> int:
    return record[2]


@wallaroo.aggregation("listed", initial=list)
def listed(record: Record, numbers: list[int]) -> list[int]:
    """Return all numbers; without ``merge`` each window is kept as a whole."""
    return [*numbers, record[2]]


def source() -> wallaroo.TCPSourceConfig:
    time = wallaroo.event_time(
        at,
        out_of_order=wallaroo.milliseconds(BOUND_MS),
        idle_after=wallaroo.milliseconds(400),
    )
    return wallaroo.TCPSourceConfig("127.0.0.1", 0, decode, time=time)


def application(name: str, window: Any) -> Application:
    pipeline = wallaroo.source("in", source()).key_by(key_of).to(window)
    sink = wallaroo.FileSinkConfig(f"{name}.txt", encode)
    return wallaroo.build_application(name, pipeline.to_sink(sink))


def tumbling() -> Application:
    window = wallaroo.tumbling(wallaroo.milliseconds(100))
    return application("tumbling", window.over(aggregate.sum(number_of)))


def sliding() -> Application:
    size, every = wallaroo.milliseconds(120), wallaroo.milliseconds(40)
    return application("sliding", wallaroo.sliding(size, every).over(aggregate.sum(number_of)))


def delayed() -> Application:
    window = wallaroo.tumbling(wallaroo.milliseconds(100)).with_delay(wallaroo.milliseconds(30))
    return application("delayed", window.over(listed))


def sessions() -> Application:
    window = wallaroo.session(wallaroo.milliseconds(60))
    return application("sessions", window.over(aggregate.sum(number_of)))


APPLICATIONS: dict[str, Callable[[], Application]] = {
    "tumbling": tumbling,
    "sliding": sliding,
    "delayed": delayed,
    "sessions": sessions,
}


def case(seed: int) -> Case:
    """Return application, input and size of the cluster for a seed."""
    chance = random.Random(f"windows {seed}")
    name = [*APPLICATIONS][seed % len(APPLICATIONS)]
    keys = [f"k{number}" for number in range(chance.choice([1, 4, 30]))]
    top, payloads = 1_000, []
    for number in range(chance.choice([20, 80, 200])):
        top += chance.choice([0, 1, 5, 20])
        time = top - chance.randrange(BOUND_MS)
        payloads.append(f"{chance.choice(keys)}:{time}:{number}".encode())
    plan = APPLICATIONS[name]()
    return Case(name, plan, {"in": [payloads]}, workers=chance.randint(1, 4))
