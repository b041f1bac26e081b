"""What an application of chosen steps must give, by an interpreter that shares no code with it.

Every step kind has a computation whose results, taken as a multiset, do not depend on the order in
which records arrive, so that one process and many workers can be compared. What a state has seen
is kept in it, and compared too.
"""

import enum
import itertools
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import wallaroo
from tests.wallaroo.operators.mesh import application, tcp_sink
from wallaroo.topology.plan import Application


class Kind(enum.Enum):
    """A way to add a step, with a computation that has one result or many."""

    TO = "to"
    TO_MULTI = "to multi"
    PARALLEL = "to_parallel"
    PARALLEL_MULTI = "to_parallel multi"
    STATEFUL = "to_stateful"
    STATEFUL_MULTI = "to_stateful multi"
    PARTITION = "to_state_partition"
    PARTITION_MULTI = "to_state_partition multi"


SEQUENCES = [
    kinds for length in range(4) for kinds in itertools.product(Kind, repeat=length)
]  # fmt: skip


class Seen:
    """A state: how often each value arrived."""

    def __init__(self) -> None:
        self.values: Counter[int] = Counter()


def scaled(value: int) -> int | None:
    return None if value % 5 == 0 else value * 3 + 1


def flipped(value: int) -> int | None:
    return None if value % 11 == 0 else value ^ 5


def doubled(value: int) -> list[int | None] | None:
    return None if value % 7 == 0 else [value * 2, None, value + 7][: value % 4]


def bucket(value: int) -> int:
    return value % 6


def counted(value: int, state: Seen) -> tuple[int | None, bool]:
    state.values[value] += 1
    count = state.values.total()
    return (None if count % 4 == 0 else count * 6 + bucket(value)), True


def counted_multi(value: int, state: Seen) -> tuple[list[int | None] | None, bool]:
    state.values[value] += 1
    count = state.values.total()
    return (None if count % 5 == 0 else [count * 6 + bucket(value), None, count][: count % 4]), True


def counted_alone(value: int, state: Seen) -> tuple[int | None, bool]:
    state.values[value] += 1
    count = state.values.total()
    return (None if count % 4 == 0 else count), False


def counted_alone_multi(value: int, state: Seen) -> tuple[list[int | None] | None, bool]:
    state.values[value] += 1
    count = state.values.total()
    return (None if count % 5 == 0 else [count, None, count + 1][: count % 4]), False


def decoded(payload: bytes) -> int | None:
    return int(payload) if payload else None


def encoded(value: int) -> str | None:
    return None if value % 13 == 0 else f"{value}\n"


FUNCTIONS: dict[Kind, Callable[..., Any]] = {
    Kind.TO: scaled,
    Kind.TO_MULTI: doubled,
    Kind.PARALLEL: flipped,
    Kind.PARALLEL_MULTI: doubled,
    Kind.STATEFUL: counted_alone,
    Kind.STATEFUL_MULTI: counted_alone_multi,
    Kind.PARTITION: counted,
    Kind.PARTITION_MULTI: counted_multi,
}
KEYED = (Kind.PARTITION, Kind.PARTITION_MULTI)
SINGLE = (Kind.STATEFUL, Kind.STATEFUL_MULTI)


def build(kinds: tuple[Kind, ...]) -> Application:
    """Return the application with these steps, made with the public builder."""
    decoder: Any = wallaroo.decoder(header_length=4, length_fmt=">I")(decoded)
    builder = application(decoder=decoder)
    for index, kind in enumerate(kinds):
        step: Any = _decorated(kind, f"step {index}")
        if kind in KEYED:
            builder.to_state_partition(step, Seen, f"state {index}", wallaroo.partition(bucket))
        elif kind in SINGLE:
            builder.to_stateful(step, Seen, f"state {index}")
        elif kind in (Kind.PARALLEL, Kind.PARALLEL_MULTI):
            builder.to_parallel(step)
        else:
            builder.to(step)
    return builder.to_sink(tcp_sink(wallaroo.encoder(encoded))).build()


def _decorated(kind: Kind, name: str) -> object:
    is_multi, function = kind.value.endswith("multi"), FUNCTIONS[kind]
    if kind in KEYED or kind in SINGLE:
        decorate: Any = wallaroo.state_computation_multi if is_multi else wallaroo.state_computation
    else:
        decorate = wallaroo.computation_multi if is_multi else wallaroo.computation
    return decorate(name)(function)


@dataclass
class Expected:
    """What one process gives, in its order."""

    lines: list[str] = field(default_factory=list)
    states: dict[str, dict[Any, Seen]] = field(default_factory=dict)


def interpret(kinds: tuple[Kind, ...], payloads: Iterable[bytes]) -> Expected:
    """Take one payload after the other through all steps, depth first."""
    expected = Expected(
        states={f"state {index}": {} for index, kind in enumerate(kinds) if kind in KEYED + SINGLE}
    )
    for payload in payloads:
        _follow(kinds, 0, decoded(payload), expected)
    return expected


def _follow(kinds: tuple[Kind, ...], index: int, value: int | None, expected: Expected) -> None:
    if value is None:
        return
    if index == len(kinds):
        line = encoded(value)
        if line is not None:
            expected.lines.append(line.removesuffix("\n"))
        return
    kind = kinds[index]
    function = FUNCTIONS[kind]
    if kind in KEYED or kind in SINGLE:
        key = bucket(value) if kind in KEYED else "key"
        state = expected.states[f"state {index}"].setdefault(key, Seen())
        result, _ = function(value, state)
    else:
        result = function(value)
    for item in (result or []) if kind.value.endswith("multi") else [result]:
        _follow(kinds, index + 1, item, expected)
