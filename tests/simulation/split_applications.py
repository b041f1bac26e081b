"""Applications for the simulation whose sources are read by partition."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import wallaroo
from tests.simulation.applications import (
    IN,
    OUT,
    Applied,
    Case,
    apply,
    decode,
    file_sink,
    key_of,
    pass_on,
    remainder_of,
    twice,
)
from wallaroo.topology.plan import Application


class WholeLog(wallaroo.PartitionedSource[tuple[int, int]]):
    """A log that is asked for its partitions once; the simulation has the records."""

    decoder = decode

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        raise AssertionError(f"the simulation reads partition {partition}")


class Log(WholeLog):
    """A log that is asked for its partitions again and again."""

    discovery = wallaroo.seconds(1)


def followed() -> Application:
    """A log that grows, and gets more partitions."""
    return (
        wallaroo.ApplicationBuilder("followed")
        .new_pipeline("log", Log())
        .to_state_partition(apply, Applied, "applied", key_of)
        .to_sinks([OUT, file_sink("followed.txt")])
        .build()
    )


def read_to_the_end() -> Application:
    """A log whose partitions end, and two states in a row."""
    return (
        wallaroo.ApplicationBuilder("read to the end")
        .new_pipeline("log", WholeLog())
        .to(pass_on)
        .to_parallel(twice)
        .to_state_partition(apply, Applied, "applied", key_of)
        .to_state_partition(apply, Applied, "by remainder", remainder_of)
        .to_sink(file_sink("ended.txt"))
        .build()
    )


def beside_senders() -> Application:
    """A log and senders share a state."""
    return (
        wallaroo.ApplicationBuilder("beside senders")
        .new_pipeline("log", Log())
        .to_state_partition(apply, Applied, "applied", key_of)
        .to_sink(file_sink("log.txt"))
        .new_pipeline("sent", IN)
        .to_state_partition(apply, Applied, "applied", key_of)
        .to_sink(file_sink("sent.txt"))
        .build()
    )


APPLICATIONS: dict[str, Callable[[], Application]] = {
    "followed": followed,
    "read_to_the_end": read_to_the_end,
    "beside_senders": beside_senders,
}


def case(seed: int) -> Case:
    """Return application, input and size of the cluster for a seed."""
    chance = random.Random(f"split case {seed}")
    name = [*APPLICATIONS][seed % len(APPLICATIONS)]
    key_count = chance.choice([1, 4, 40])
    numbers = iter(range(100_000))

    def payloads() -> list[bytes]:
        count = chance.choice([0, 5, 40, 90])
        return [f"{chance.randrange(key_count)}:{next(numbers)}".encode() for _ in range(count)]

    input: dict[str, Any] = {
        "log": {f"p{number}": payloads() for number in range(chance.randint(1, 7))}
    }
    input["log"]["p0"] += [f"0:{next(numbers)}".encode()]
    if name == "beside_senders":
        input["sent"] = [payloads() for _ in range(chance.randint(1, 2))]
    return Case(name, APPLICATIONS[name](), input, workers=chance.randint(1, 4))
