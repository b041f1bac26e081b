"""Seeds of an application whose sinks prepare results at barriers."""

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
from tests.simulation.once import SHAPES
from wallaroo.testing import SimulationError, SimulationResult, simulate
from wallaroo.topology.plan import Application


class Parts(wallaroo.TwoPhaseSink[Any]):
    """Its simulated target prepares."""

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder

    def open(self, slot: str, /) -> None:
        raise AssertionError("a simulation writes to its own target")

    def write(self, records: list[Any], /) -> None:
        raise AssertionError("a simulation writes to its own target")

    def prepare(self) -> bytes | None:
        raise AssertionError("a simulation writes to its own target")

    def commit(self, token: bytes, /) -> None:
        raise AssertionError("a simulation writes to its own target")

    def abort(self, token: bytes, /) -> None:
        raise AssertionError("a simulation writes to its own target")

    def prepared(self) -> list[bytes]:
        raise AssertionError("a simulation asks its own target")


def two_phases() -> Application:
    """Two states; results of one pipeline go to two targets and to a file."""
    return (
        wallaroo.ApplicationBuilder("two phases")
        .new_pipeline("first", IN)
        .to_state_partition(apply, Applied, "applied", key_of)
        .to_sinks([Parts(encode), Parts(None), file_sink("parts.txt")])
        .new_pipeline("second", IN_SHORT)
        .to_state_partition(apply, Applied, "by remainder", remainder_of)
        .to_sink(Parts(encode))
        .build()
    )


def run_two_phases(seed: int) -> SimulationResult:
    """Run one seed; raises ``SimulationError``."""
    chance = random.Random(f"two phases {seed}")
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
    return simulate(
        two_phases(),
        input,
        seed=seed,
        workers=chance.randint(1, 4),
        faults=replace(SHAPES[seed % len(SHAPES)], other_stores=0),
        view_state=in_any_order,
        replay_command=f"python -m tests.simulation --two-phases --seed {seed}",
    )


def outcome(seed: int) -> tuple[int, Counter[str], str]:
    """Return seed, faults injected, and what went wrong; for processes of a pool."""
    try:
        return seed, run_two_phases(seed).injected, ""
    except SimulationError as error:
        return seed, Counter(), str(error)
