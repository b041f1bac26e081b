"""Applications for the simulation in which records wait at steps."""

import random
from collections.abc import Callable

import wallaroo
from tests.simulation.applications import (
    IN,
    OUT,
    Applied,
    Case,
    apply,
    encode,
    file_sink,
    key_of,
    pass_on,
    remainder_of,
    twice,
)
from wallaroo.topology.plan import Application

Record = tuple[int, int]


@wallaroo.resource
def client() -> str:
    return "client"


@wallaroo.computation_async("ask", capacity=3, timeout=wallaroo.minutes(5), client=client)
async def ask(record: Record, client: str) -> Record:
    assert client == "client"
    return record


@wallaroo.computation_async(
    "ask at once", capacity=20, timeout=wallaroo.minutes(5), order="none", retries=0
)
async def ask_at_once(record: Record) -> Record:
    return record


def answer_in_time(record: Record) -> Record:
    return record


@wallaroo.computation_async(
    "ask until it is late",
    capacity=4,
    timeout=wallaroo.seconds(2),
    backoff=wallaroo.milliseconds(200),
    retries=3,
    on_timeout=answer_in_time,
)
async def ask_until_late(record: Record) -> Record:
    return record


@wallaroo.computation_batch(
    "ask for some until it is late",
    max_size=3,
    max_wait=wallaroo.milliseconds(20),
    capacity=12,
    timeout=wallaroo.seconds(2),
    retries=2,
    order="none",
    on_timeout=answer_in_time,
)
async def ask_for_some(records: list[Record]) -> list[Record]:
    return records


@wallaroo.computation_batch("together", max_size=4, max_wait=wallaroo.milliseconds(50))
def together(records: list[Record]) -> list[Record]:
    return records


@wallaroo.computation_batch("in a thread", max_size=3, max_wait=0, in_thread=True)
def in_thread(records: list[Record]) -> list[Record]:
    return records


def asked() -> Application:
    """Answers for records that are at the owner of their key, and once more without keys."""
    return (
        wallaroo.ApplicationBuilder("asked")
        .new_pipeline("in", IN)
        .to_state_partition(apply, Applied, "applied", key_of)
        .to(ask)
        .to_sinks([OUT, file_sink("asked.txt")])
        .build()
    )


def asked_first() -> Application:
    """Answers before the first state: what counts twice, or not at all, is seen in it."""
    return (
        wallaroo.ApplicationBuilder("asked first")
        .new_pipeline("in", IN)
        .to(ask)
        .to(in_thread)
        .to_state_partition(apply, Applied, "applied", key_of)
        .to(ask_at_once)
        .to_state_partition(apply, Applied, "by remainder", remainder_of)
        .to_sink(file_sink("first.txt"))
        .build()
    )


def together_and_alone() -> Application:
    """Batches that wait for more records, and many records of one."""
    return (
        wallaroo.ApplicationBuilder("together")
        .new_pipeline("in", IN)
        .to(together)
        .to_parallel(twice)
        .to(ask_at_once)
        .to_state_partition(apply, Applied, "by remainder", remainder_of)
        .to(pass_on)
        .to(together)
        .to_sink(wallaroo.FileSinkConfig("together.txt", encode))
        .build()
    )


def asked_late() -> Application:
    """Answers that are lost or late: each record has one outcome all the same."""
    return (
        wallaroo.ApplicationBuilder("asked late")
        .new_pipeline("in", IN)
        .to(ask_until_late)
        .to_state_partition(apply, Applied, "applied", key_of)
        .to(ask_for_some)
        .to_state_partition(apply, Applied, "by remainder", remainder_of)
        .to_sink(file_sink("late.txt"))
        .build()
    )


APPLICATIONS: dict[str, Callable[[], Application]] = {
    "asked": asked,
    "asked_first": asked_first,
    "together": together_and_alone,
    "asked_late": asked_late,
}


def case(seed: int) -> Case:
    """Return application, input and size of the cluster for a seed."""
    chance = random.Random(f"waiting {seed}")
    name = [*APPLICATIONS][seed % len(APPLICATIONS)]
    key_count = chance.choice([1, 4, 40])
    number = 0
    senders = []
    for _ in range(chance.randint(1, 3)):
        count = chance.choice([5, 40, 120])
        keys = [chance.randrange(key_count) for _ in range(count)]
        senders.append([f"{key}:{number + at}".encode() for at, key in enumerate(keys)])
        number += count
    return Case(name, APPLICATIONS[name](), {"in": senders}, workers=chance.randint(1, 4))
