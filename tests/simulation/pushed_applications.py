"""Applications for the simulation whose sources are pushed."""

import random
from collections.abc import Callable, Iterator
from typing import Any

import wallaroo
from tests.simulation.applications import (
    IN,
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


class Mail(wallaroo.PushedSource[tuple[int, int]]):
    """Payloads that any worker takes; the simulation has the broker."""

    decoder = decode

    def receive(self) -> Iterator[Any]:
        raise AssertionError("the simulation pushes")

    def ack(self, tags: Any) -> None: ...


class Objects(Mail):
    """Records without a decoder, that one worker takes."""

    decoder: Any = None
    runs = "once"


def everywhere() -> Application:
    """Every worker receives."""
    return (
        wallaroo.ApplicationBuilder("everywhere")
        .new_pipeline("mail", Mail())
        .to_state_partition(apply, Applied, "applied", key_of)
        .to_sink(file_sink("mail.txt"))
        .build()
    )


def once() -> Application:
    """One worker receives, and two states follow."""
    return (
        wallaroo.ApplicationBuilder("once")
        .new_pipeline("mail", Objects())
        .to(pass_on)
        .to_parallel(twice)
        .to_state_partition(apply, Applied, "applied", key_of)
        .to_state_partition(apply, Applied, "by remainder", remainder_of)
        .to_sink(file_sink("objects.txt"))
        .build()
    )


def beside_senders() -> Application:
    """A broker and senders share a state, and the journals of their workers."""
    return (
        wallaroo.ApplicationBuilder("beside senders")
        .new_pipeline("mail", Mail())
        .to_state_partition(apply, Applied, "applied", key_of)
        .to_sink(file_sink("mail.txt"))
        .new_pipeline("sent", IN)
        .to_state_partition(apply, Applied, "applied", key_of)
        .to_sink(file_sink("sent.txt"))
        .build()
    )


APPLICATIONS: dict[str, Callable[[], Application]] = {
    "everywhere": everywhere,
    "once": once,
    "beside_senders": beside_senders,
}


def case(seed: int) -> Case:
    """Return application, input and size of the cluster for a seed."""
    chance = random.Random(f"pushed case {seed}")
    name = [*APPLICATIONS][seed % len(APPLICATIONS)]
    key_count = chance.choice([1, 4, 40])
    count = chance.choice([5, 60, 250])
    payloads = [f"{chance.randrange(key_count)}:{number}".encode() for number in range(count)]
    mail: list[Any] = [decode.function(each) for each in payloads] if name == "once" else payloads
    input: dict[str, list[Any]] = {"mail": mail}
    if name == "beside_senders":
        input["sent"] = [
            [f"{chance.randrange(key_count)}:{number}".encode() for number in range(1_000, 1_040)]
        ]
    return Case(name, APPLICATIONS[name](), input, workers=chance.randint(1, 4))
