"""Applications for the simulation with several sources whose times run apart, and late records.

Each result names the numbers of all records that it is of, so that every record can be followed to
the one result, or to the pipeline for late records, in which it has to be.
"""

import operator
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import wallaroo
from tests.simulation.once import Ledger
from tests.simulation.windowed_applications import BOUND_MS, at, decode, key_of
from wallaroo import WindowsBuilder, milliseconds, seconds
from wallaroo.topology.plan import Application

SIZE_MS, SLIDE_MS, GAP_MS, TTL_MS = 120, 40, 60, 80
LATE_MS = 600
"""The most by which a record is late on purpose."""

Sources = list[wallaroo.Pipeline[Any]]
Target = Callable[[str, Any], Any]
"""Returns a sink, from its name and encoder."""
Build = Callable[[Sources, Target], Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """A record as it is sent."""

    key: str
    time_ms: int


class Timing(NamedTuple):
    """How long the clocks of a case wait for others."""

    idle_after_ms: int
    settle_ms: int


PATIENT = Timing(60_000, 1_500)
"""Nobody is silent, or away, for so long in a simulation, and all senders have come by then."""
PATIENT_WITH_LOGS = Timing(60_000, 2_500)
IMPATIENT = (Timing(3_000, 0), Timing(400, 0), Timing(50, 0))


def event_time(timing: Timing) -> Any:
    return wallaroo.event_time(
        at,
        out_of_order=milliseconds(BOUND_MS),
        idle_after=milliseconds(timing.idle_after_ms),
        settle=milliseconds(timing.settle_ms),
    )


def shown(numbers: list[int]) -> str:
    return ",".join(map(str, sorted(numbers)))


@wallaroo.aggregation("numbers", initial=list, merge=operator.add)
def numbers_of(record: Any, numbers: list[int]) -> list[int]:
    return [*numbers, record[2]]


@wallaroo.aggregation("whole", initial=list)
def whole(record: Any, numbers: list[int]) -> list[int]:
    """The same without ``merge``, so each window is kept as a whole."""
    return [*numbers, record[2]]


@wallaroo.aggregation("gathered", initial=list, merge=operator.add)
def gathered(result: Any, numbers: list[int]) -> list[int]:
    return [*numbers, *result.value]


@wallaroo.encoder
def encode(result: Any) -> str:
    span = f"{result.start // 10**6} {result.end // 10**6}"
    return f"R {result.key} {span} {result.kind} {shown(result.value)}\n"


@wallaroo.encoder
def encode_late(record: Any) -> str:
    return f"L {record[0]} {record[2]}\n"


@wallaroo.encoder
def encode_doubly_late(result: Any) -> str:
    return f"D {result.key} {shown(result.value)}\n"


@wallaroo.encoder
def encode_line(line: str) -> str:
    return f"{line}\n"


class Pending:
    """What a key waits for."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.until = 0
        self.alarm_count = 0
        self.is_waiting = False


class Rest(NamedTuple):
    """What a timer gives, in the form of a result of a window."""

    key: str
    value: list[int]
    time_ms: int


@wallaroo.state_computation("flush", Pending)
def flush(record: Any, pending: Pending, ctx: Any) -> Any:
    """Keep records for some time after the first of them."""
    pending.numbers.append(record[2])
    ctx.set_timer("unused", ctx.time + milliseconds(1))
    ctx.set_timer("flush", ctx.time)
    if len(pending.numbers) == 1:
        pending.until = ctx.time + milliseconds(GAP_MS)
    ctx.set_timer("flush", pending.until)
    ctx.cancel("unused")


@flush.on_timer("flush")
def flushed(pending: Pending, ctx: Any) -> Any:
    numbers, until = pending.numbers, pending.until
    ctx.remove_state()
    return Rest(ctx.key, numbers, until // 10**6)


@flush.on_timer("unused")
def unused(pending: Pending, ctx: Any) -> Any:
    return Rest(ctx.key, [-1], 0)


@wallaroo.state_computation("ring", Pending)
def ring(record: Any, pending: Pending, ctx: Any) -> Any:
    """Set an alarm, if the key has none that is pending."""
    pending.numbers.append(record[2])
    if not pending.is_waiting:
        pending.is_waiting = True
        ctx.set_alarm("ring", after=milliseconds(30))


@ring.on_alarm("ring")
def rung(pending: Pending, ctx: Any) -> str:
    pending.alarm_count += 1
    pending.is_waiting = False
    numbers, pending.numbers = pending.numbers, []
    return f"A {ctx.key} {pending.alarm_count} {shown(numbers)}"


def expired(key: str, pending: Pending) -> str:
    return f"X {key} {shown(pending.numbers)}"


@wallaroo.state_computation("touch", Pending, ttl=milliseconds(TTL_MS), on_expire=expired)
def touch(record: Any, pending: Pending) -> Any:
    pending.numbers.append(record[2])


@wallaroo.encoder
def encode_rest(rest: Rest) -> str:
    return f"T {rest.key} {rest.time_ms} {shown(rest.value)}\n"


def to_file(name: str, encoder: Any) -> wallaroo.FileSinkConfig[Any]:
    return wallaroo.FileSinkConfig(f"{name}.txt", encoder)


def to_ledger(name: str, encoder: Any) -> Any:
    """Return a sink whose results are in an outbox until a checkpoint is committed."""
    return Ledger(encoder)


def keyed(sources: Sources) -> wallaroo.Pipeline[Any]:
    first, *others = sources
    return (first.merge(*others) if others else first).key_by(key_of)


def sides(windows: WindowsBuilder, aggregation: Any = numbers_of) -> Build:
    """Late records go to a file of their own."""

    def build(sources: Sources, to: Target) -> Any:
        results = keyed(sources).to(windows.with_late_data_policy("side").over(aggregation))
        late = results.late.to_sink(to("late", encode_late))
        return [results.to_sink(to("results", encode)), late]

    return build


def alone(windows: WindowsBuilder) -> Build:
    """Late records change a window, or are dropped."""

    def build(sources: Sources, to: Target) -> Any:
        results = keyed(sources).to(windows.over(numbers_of))
        return [results.to_sink(to("results", encode))]

    return build


def two_levels(sources: Sources, to: Target) -> Any:
    """Windows of results of windows, none of which is late."""
    first = wallaroo.tumbling(milliseconds(50)).with_late_data_policy("side").over(numbers_of)
    second = wallaroo.tumbling(milliseconds(200)).with_late_data_policy("side").over(gathered)
    small = keyed(sources).to(first)
    large = small.key_by(operator.attrgetter("key")).to(second)
    return [
        small.late.to_sink(to("late", encode_late)),
        large.to_sink(to("results", encode)),
        large.late.to_sink(to("doubly late", encode_doubly_late)),
    ]


def timers(sources: Sources, to: Target) -> Any:
    return [keyed(sources).to(flush).to_sink(to("rests", encode_rest))]


def timers_in_windows(sources: Sources, to: Target) -> Any:
    """Windows of what timers give."""
    windows = wallaroo.tumbling(milliseconds(100)).with_late_data_policy("side").over(gathered)
    results = keyed(sources).to(flush).to(windows)
    late = results.late.to_sink(to("doubly late", encode_doubly_late))
    return [results.to_sink(to("results", encode)), late]


def alarms(sources: Sources, to: Target) -> Any:
    return [keyed(sources).to(ring).to_sink(to("lines", encode_line))]


def expiring(sources: Sources, to: Target) -> Any:
    return [keyed(sources).to(touch).to_sink(to("lines", encode_line))]


TUMBLING = wallaroo.tumbling(milliseconds(100))
SLIDING = wallaroo.sliding(milliseconds(SIZE_MS), milliseconds(SLIDE_MS))
SESSIONS = wallaroo.session(milliseconds(GAP_MS))

APPLICATIONS: dict[str, Build] = {
    "tumbling": sides(TUMBLING),
    "timers": timers,
    "sliding": sides(SLIDING),
    "two_levels": two_levels,
    "sessions": sides(SESSIONS),
    "updates": alone(TUMBLING.with_late_data_policy("update").allow_late(seconds(60))),
    "alarms": alarms,
    "drops": alone(TUMBLING),
    "expiring": expiring,
    "whole": sides(TUMBLING, whole),
    "timers_in_windows": timers_in_windows,
}


@dataclass(frozen=True, slots=True)
class TimedCase:
    """What one seed runs."""

    application: str
    plan: Application
    input: dict[str, Any]
    workers: int
    sent: dict[int, Sent]
    """By number."""
    is_patient: bool
    """Whether clocks wait for everybody, so that no record is late."""


class _Records:
    """Draws the records of all senders."""

    def __init__(self, chance: random.Random, *, are_late: bool) -> None:
        self._chance = chance
        self._are_late = are_late
        self._keys = [f"k{number}" for number in range(chance.choice([1, 4, 40]))]
        self.sent: dict[int, Sent] = {}

    def of_sender(self, most: int) -> list[bytes]:
        """Return the payloads of a sender, whose times begin later than those of others."""
        chance = self._chance
        top = 1_000 + chance.choice([0, 0, 200, 1_000])
        steps = chance.choice([[0, 1, 5], [0, 5, 20], [20, 60]])
        payloads = []
        for _ in range(chance.randint(most // 8, most)):
            top += chance.choice(steps)
            time = top - chance.randrange(BOUND_MS)
            if self._are_late and chance.random() < 0.1:
                time -= chance.randrange(LATE_MS)
            key, number = chance.choice(self._keys), len(self.sent)
            self.sent[number] = Sent(key, time)
            payloads.append(f"{key}:{time}:{number}".encode())
        return payloads


def tcp(name: str, timing: Timing) -> wallaroo.Pipeline[Any]:
    config = wallaroo.TCPSourceConfig("127.0.0.1", 0, decode, time=event_time(timing))
    return wallaroo.source(name, config)


def file(name: str, timing: Timing) -> wallaroo.Pipeline[Any]:
    config = wallaroo.FileSourceConfig("in.txt", decode, time=event_time(timing))
    return wallaroo.source(name, config)


def log(name: str, timing: Timing) -> wallaroo.Pipeline[Any]:
    class Log(wallaroo.PartitionedSource[Any]):
        """A log that ends; the simulation has the records."""

        decoder = decode
        time = event_time(timing)

        def read(self, partition: str, position: Any) -> Iterator[Any]:
            raise AssertionError(f"the simulation reads partition {partition}")

    return wallaroo.source(name, Log())


def case(seed: int, *, with_logs: bool = False) -> TimedCase:
    """Return application, input and size of the cluster for a seed.

    With logs, all input ends by itself, and all windows fire while their results are in an outbox.
    """
    chance = random.Random(f"timed {seed}")
    name = [*APPLICATIONS][seed % len(APPLICATIONS)]
    is_patient = chance.random() < 0.5
    patient = PATIENT_WITH_LOGS if with_logs else PATIENT
    timing = patient if is_patient else chance.choice(IMPATIENT)
    records = _Records(chance, are_late=not is_patient)
    if with_logs:
        input: dict[str, Any] = {
            "a": {f"p{number}": records.of_sender(240) for number in range(chance.randint(2, 4))}
        }
        sources = [log("a", timing)]
    else:
        input = {"a": [records.of_sender(120) for _ in range(chance.randint(1, 2))]}
        sources = [tcp("a", timing)]
        if chance.random() < 0.7:
            sources.append(tcp("b", timing))
            input["b"] = [records.of_sender(120) for _ in range(chance.randint(1, 2))]
        if chance.random() < 0.3:
            sources.append(file("c", timing))
            input["c"] = records.of_sender(60)
    to = to_ledger if with_logs and chance.random() < 0.5 else to_file
    plan = wallaroo.build_application(f"timed {name}", *APPLICATIONS[name](sources, to))
    workers = chance.randint(1, 4)
    return TimedCase(name, plan, input, workers, records.sent, is_patient)
