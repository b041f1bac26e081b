"""Seeds of an application whose sinks are exactly once, and what is checked of their targets."""

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import wallaroo
from tests.simulation.applications import in_any_order, numbered, two_states_to
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
    """Return the application."""
    return two_states_to("once", Ledger, "once.txt")


def run_once(seed: int, objects: Objects | None = None) -> SimulationResult:
    """Run one seed; raises ``SimulationError``."""
    chance = random.Random(f"once {seed}")
    result = simulate(
        once(),
        numbered(chance, ("first", "second")),
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
