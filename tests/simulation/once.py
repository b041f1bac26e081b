"""Seeds of an application whose sinks are exactly once, and what is checked of their targets."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import wallaroo
from tests.simulation.applications import (
    IN,
    IN_SHORT,
    Applied,
    apply,
    encode,
    file_sink,
    in_any_order,
    key_of,
    remainder_of,
)
from tests.simulation.seeds import FEW_CRASHES
from wallaroo.testing import ALL_FAULTS, SimulationError, SimulationResult, simulate
from wallaroo.testing.store import Objects
from wallaroo.topology.plan import Application

RESIZES = replace(FEW_CRASHES, resizes_while_running=20, lost_answers=3, zombie_writes=3)
SHAPES = (ALL_FAULTS, RESIZES, ALL_FAULTS, replace(RESIZES, worker_crashes=1, crashes_together=0))


class Ledger(wallaroo.OnceSink[tuple[int, int]]):
    """Its simulated target keeps a number for each slot."""

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder

    def open(self, slot: str, /) -> None:
        raise AssertionError("a simulation writes to its own target")

    def last(self) -> int | None:
        raise AssertionError("a simulation asks its own target")

    def write(self, records: list[Any], number: int, /) -> None:
        raise AssertionError("a simulation writes to its own target")


def once() -> Application:
    """Two states; results of one pipeline go to two targets and to a file."""
    return (
        wallaroo.ApplicationBuilder("once")
        .new_pipeline("first", IN)
        .to_state_partition(apply, Applied, "applied", key_of)
        .to_sinks([Ledger(encode), Ledger(None), file_sink("once.txt")])
        .new_pipeline("second", IN_SHORT)
        .to_state_partition(apply, Applied, "by remainder", remainder_of)
        .to_sink(Ledger(encode))
        .build()
    )


def run_once(seed: int, objects: Objects | None = None) -> SimulationResult:
    """Run one seed; raises ``SimulationError``."""
    chance = random.Random(f"once {seed}")
    key_count = chance.choice([1, 4, 40])
    numbers = iter(range(1 << 30))
    input = {
        pipeline: [
            [
                f"{chance.randrange(key_count)}:{next(numbers)}".encode()
                for _ in range(chance.choice([5, 40, 120]))
            ]
            for _ in range(chance.randint(1, 3))
        ]
        for pipeline in ("first", "second")
    }
    result = simulate(
        once(),
        input,
        seed=seed,
        workers=chance.randint(1, 4),
        faults=SHAPES[seed % len(SHAPES)],
        view_state=in_any_order,
        replay_command=f"python -m tests.simulation --once --seed {seed}",
        objects=objects,
    )
    if problem := disorder(result):
        raise SimulationError(f"seed {seed}: {problem}")
    return result


def disorder(result: SimulationResult) -> str:
    """Return which result of a connection became visible before an earlier one of its key."""
    places = {tuple(map(int, row.split(":"))): at for at, row in enumerate(result.output[0])}
    for connection in result.accepted:
        last: dict[int, int] = {}
        for payload in connection:
            if payload in result.sent_again:
                continue  # its first result may be of a connection from before
            key, number = map(int, payload.split(b":"))
            place = places.get((key, number), -1)
            if -1 < place < last.get(key, -1):
                return f"result {payload!r} became visible before an earlier one of its key"
            last[key] = max(place, last.get(key, -1))
    return ""


def outcome(seed: int) -> tuple[int, Counter[str], str]:
    """Return seed, faults injected, and what went wrong; for processes of a pool."""
    try:
        result = run_once(seed)
    except SimulationError as error:
        return seed, Counter(), str(error)
    return seed, result.injected, ""
