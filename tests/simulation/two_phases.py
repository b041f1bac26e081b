"""Seeds of an application whose sinks prepare results at barriers."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import wallaroo
from tests.simulation.applications import in_any_order, numbered, two_states_to
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
    """Return the application."""
    return two_states_to("two phases", Parts, "parts.txt")


def run_two_phases(seed: int) -> SimulationResult:
    """Run one seed; raises ``SimulationError``."""
    chance = random.Random(f"two phases {seed}")
    return simulate(
        two_phases(),
        numbered(chance, ("first", "second")),
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
