"""Applications for the simulation: their states tell which records were applied, and how often."""

import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import wallaroo
from wallaroo.topology.plan import Application


class Applied:
    """The numbers of the records that were applied to a key."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.is_known = False


class Session:
    """The number of records of a key since its state was last deleted."""

    def __init__(self) -> None:
        self.count = 0


SESSION_RECORDS = 3


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> tuple[int, int]:
    key, _, number = payload.decode().partition(":")
    return int(key), int(number)


@wallaroo.decoder(header_length=2, length_fmt=">H")
def decode_short(payload: bytes) -> tuple[int, int]:
    key, _, number = payload.decode().partition(":")
    return int(key), int(number)


@wallaroo.partition
def key_of(record: tuple[int, int]) -> str:
    return f"k{record[0]}"


@wallaroo.partition
def remainder_of(record: tuple[int, int]) -> str:
    return f"r{record[1] % 7}"


@wallaroo.state_computation("apply")
def apply(record: tuple[int, int], state: Applied) -> tuple[tuple[int, int], bool]:
    state.ids.append(record[1])
    return record, True


@wallaroo.state_computation("apply odd, look at even")
def apply_odd(record: tuple[int, int], state: Applied) -> tuple[tuple[int, int], bool]:
    is_odd = record[1] % 2 == 1
    # A state that was never saved is not there after a failure.
    has_changed = is_odd or not state.is_known
    state.is_known = True
    if is_odd:
        state.ids.append(record[1])
    return record, has_changed


@wallaroo.state_computation("count, and delete when it is complete")
def count_session(
    record: tuple[int, int], state: Session
) -> tuple[tuple[int, int], bool | wallaroo.Delete]:
    state.count += 1
    # The order of the records does not matter, since the oracle knows only that of connections.
    is_over = state.count == SESSION_RECORDS and record[0] % 2 == 0
    return record, wallaroo.DELETE if is_over else True


@wallaroo.computation("pass on")
def pass_on(record: tuple[int, int]) -> tuple[int, int]:
    return record


@wallaroo.computation_multi("twice")
def twice(record: tuple[int, int]) -> list[tuple[int, int]]:
    key, number = record
    return [(key, 2 * number), (key, 2 * number + 1)]


@wallaroo.encoder
def encode(record: tuple[int, int]) -> str:
    return f"{record[0]}:{record[1]}\n"


class Numbers:
    """Makes numbered records for some keys."""

    def __init__(self, count: int) -> None:
        self._count = count

    def initial_value(self) -> tuple[int, int] | None:
        return (0, 1_000_000) if self._count else None

    def apply(self, value: tuple[int, int]) -> tuple[int, int] | None:
        number = value[1] + 1
        return (number % 5, number) if number < 1_000_000 + self._count else None


IN = wallaroo.TCPSourceConfig("127.0.0.1", 0, decode)
IN_SHORT = wallaroo.TCPSourceConfig("127.0.0.1", 0, decode_short)
OUT = wallaroo.TCPSinkConfig("127.0.0.1", 1, encode)


def file_sink(path: str) -> wallaroo.FileSinkConfig:
    return wallaroo.FileSinkConfig(path, encode)


def keyed() -> Application:
    """One exchange; output to a stream and to a file."""
    return (
        wallaroo.ApplicationBuilder("keyed")
        .new_pipeline("in", IN)
        .to_state_partition(apply, Applied, "applied", key_of)
        .to_sinks([OUT, file_sink("keyed.txt")])
        .build()
    )


def two_states() -> Application:
    """A parallel step that makes two of each record, and two states in a row."""
    return (
        wallaroo.ApplicationBuilder("two states")
        .new_pipeline("in", IN)
        .to(pass_on)
        .to_parallel(twice)
        .to_state_partition(apply, Applied, "by key", key_of, ["k0", "k1", "k2"])
        .to(pass_on)
        .to_state_partition(apply, Applied, "by remainder", remainder_of)
        .to_sink(file_sink("two.txt"))
        .build()
    )


def shared() -> Application:
    """Two pipelines and a generator share a state; one is a state for the whole cluster."""
    return (
        wallaroo.ApplicationBuilder("shared")
        .new_pipeline("first", IN)
        .to_state_partition(apply, Applied, "applied", key_of)
        .to_sink(OUT)
        .new_pipeline("second", IN_SHORT)
        .to_state_partition(apply, Applied, "applied", key_of)
        .to_stateful(apply, Applied, "all")
        .to_sink(file_sink("shared.txt"))
        .new_pipeline("made", wallaroo.GenSourceConfig(Numbers(60)))
        .to_state_partition(apply, Applied, "applied", key_of)
        .to_sink(file_sink("made.txt"))
        .build()
    )


def sparing() -> Application:
    """Half of the records only look at their state and do not save it."""
    return (
        wallaroo.ApplicationBuilder("sparing")
        .new_pipeline("in", IN)
        .to_state_partition(apply_odd, Applied, "applied", key_of)
        .to_sink(file_sink("sparing.txt"))
        .build()
    )


def sessions() -> Application:
    """Keys are deleted, and come again."""
    return (
        wallaroo.ApplicationBuilder("sessions")
        .new_pipeline("in", IN)
        .to_state_partition(count_session, Session, "sessions", key_of, ["k1"])
        .to_sinks([OUT, file_sink("sessions.txt")])
        .build()
    )


APPLICATIONS: dict[str, Callable[[], Application]] = {
    "keyed": keyed,
    "two_states": two_states,
    "shared": shared,
    "sparing": sparing,
    "sessions": sessions,
}


@dataclass(frozen=True, slots=True)
class Case:
    """What one seed runs."""

    application: str
    plan: Application
    input: dict[str, list[Any]]
    workers: int


def case(seed: int) -> Case:
    """Return application, input and size of the cluster for a seed."""
    chance = random.Random(f"case {seed}")
    name = [*APPLICATIONS][seed % len(APPLICATIONS)]
    plan = APPLICATIONS[name]()
    key_count = chance.choice([1, 4, 40])
    input: dict[str, list[Any]] = {}
    number = 0
    for pipeline in ("first", "second") if name == "shared" else ("in",):
        senders = []
        for sender in range(chance.randint(1, 3)):
            payloads = []
            count = chance.choice([40, 120, 240] if name == "sessions" else [5, 40, 120])
            for index in range(count):
                key = chance.randrange(key_count)
                if name == "sessions":
                    key = 1000 * sender + session_key(index, count)
                payloads.append(f"{key}:{number}".encode())
                number += 1
            senders.append(payloads)
        input[pipeline] = senders
    return Case(name, plan, input, workers=chance.randint(1, 4))


def numbered(chance: random.Random, pipelines: Iterable[str]) -> dict[str, list[Any]]:
    """Return the payloads of some senders to each pipeline; no two have the same number."""
    key_count = chance.choice([1, 4, 40])
    numbers = itertools.count()
    return {
        pipeline: [
            [
                f"{chance.randrange(key_count)}:{next(numbers)}".encode()
                for _ in range(chance.choice([5, 40, 120]))
            ]
            for _ in range(chance.randint(1, 3))
        ]
        for pipeline in pipelines
    }


def two_states_to(name: str, sink: Callable[[Any], Any], path: str) -> Application:
    """Two states; results of one pipeline go to two targets and to a file.

    ``sink`` returns a sink that encodes by the function that it gets, or not at all.
    """
    return (
        wallaroo.ApplicationBuilder(name)
        .new_pipeline("first", IN)
        .to_state_partition(apply, Applied, "applied", key_of)
        .to_sinks([sink(encode), sink(None), file_sink(path)])
        .new_pipeline("second", IN_SHORT)
        .to_state_partition(apply, Applied, "by remainder", remainder_of)
        .to_sink(sink(encode))
        .build()
    )


def session_key(index: int, count: int) -> int:
    """Return the key of record ``index`` of ``count``.

    An even key is deleted long after it is created, and then stays deleted. An odd key has one
    record and stays: with these, old parts are not compacted soon.
    """
    if index % 2:
        return index
    return 2 * (index // 2 % max(count // 2 // SESSION_RECORDS, 1))


def in_any_order(state: Any) -> Any:
    """The ids that were applied, each as often as it was; their order depends on the senders."""
    kind, values = state
    return kind, sorted(values["ids"]) if "ids" in values else values
