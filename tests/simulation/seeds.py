"""One seed of the simulation, from its case to what is checked beyond what ``simulate`` checks."""

from collections import Counter
from collections.abc import Sized
from dataclasses import replace
from typing import Any

from tests.simulation import split_applications
from tests.simulation.applications import APPLICATIONS, Case, case, in_any_order
from wallaroo.testing import ALL_FAULTS, Faults, SimulationError, SimulationResult, simulate
from wallaroo.testing.store import Objects

FEW_CRASHES = Faults(
    worker_crashes=3,
    crashes_together=1,
    initializer_crashes=1,
    machine_crashes=0,
    orderly_stops=0,
    returns=0,
    resizes_while_running=12,
    visits=0,
)
"""So that changes of the members come to their end, one behind the other."""

HAND_OVERS = replace(
    FEW_CRASHES,
    worker_crashes=4,
    initializer_crashes=0,
    drains=0,
    disks_lost=0,
    broken_links=0,
    broken_sinks=0,
    failed_writes=0,
    failed_hand_overs=24,
    resizes_while_running=20,
    resizes=False,
)
"""So that connections of senders change their worker, and crashes follow soon."""

MOVES = replace(
    FEW_CRASHES,
    initializer_crashes=0,
    drains=0,
    disks_lost=0,
    failed_positions=40,
    resizes_while_running=40,
    resizes=False,
)
"""So that partitions of logs change their reader, and some resizes fail at the last moment."""

VISITS = replace(
    FEW_CRASHES,
    worker_crashes=0,
    initializer_crashes=0,
    crashes_together=0,
    disks_lost=0,
    drains=0,
    failed_writes=0,
    failed_hand_overs=12,
    resizes_while_running=0,
    visits=40,
    resizes=False,
)
"""So that keys are away for a while, and come back to workers that held them before."""

SHAPES = (ALL_FAULTS, FEW_CRASHES, ALL_FAULTS, HAND_OVERS)
"""Seeds take them in turn, each for all applications."""

ORDERED = ("keyed", "shared", "sparing", "followed", "beside_senders")
"""Applications without a parallel step before the state: order is kept for a connection and key."""


SHAPES_WITH_LOGS = (ALL_FAULTS, MOVES)


def shape_of(seed: int, applications: Sized) -> Faults:
    """Return the shape of a seed, if all ``applications`` take turns with each shape."""
    return SHAPES[seed // len(applications) % len(SHAPES)]


def faults_of(seed: int, *, with_logs: bool = False) -> Faults:
    """Return which faults a seed may meet."""
    if with_logs:
        turn = seed // len(split_applications.APPLICATIONS)
        return SHAPES_WITH_LOGS[turn % len(SHAPES_WITH_LOGS)]
    turn = seed // len(APPLICATIONS)
    is_for_visits = case(seed).application == "sessions" and turn % len(SHAPES)
    return VISITS if is_for_visits else SHAPES[turn % len(SHAPES)]


def run_case(
    chosen: Case, seed: int, faults: Faults, *, durable: bool = True, **options: Any
) -> SimulationResult:
    """Simulate a case; without checkpoints with few crashes instead of ``faults``."""
    return simulate(
        chosen.plan,
        chosen.input,
        seed=seed,
        workers=chosen.workers,
        durable=durable,
        faults=faults if durable else FEW_CRASHES,
        view_state=in_any_order,
        **options,
    )


def run_seed(
    seed: int, objects: Objects | None = None, *, durable: bool = True, with_logs: bool = False
) -> SimulationResult:
    """Run one seed; raises ``SimulationError``.

    ``with_logs`` runs an application whose source is read by partition.
    """
    chosen = split_applications.case(seed) if with_logs else case(seed)
    command = f"python -m tests.simulation --seed {seed}" + " --no-checkpoints" * (not durable)
    command += " --logs" * with_logs
    faults = faults_of(seed, with_logs=with_logs)
    result = run_case(
        chosen, seed, faults, durable=durable, replay_command=command, objects=objects
    )
    problem = disorder(chosen, result) or disorder_at_receivers(chosen, result)
    if problem:
        raise SimulationError(f"seed {seed}: {problem}\nrun it again: {command}")
    return result


def disorder(chosen: Case, result: SimulationResult) -> str:
    """Return which key got records of one connection in another order than they arrived."""
    if chosen.application not in ORDERED:
        return ""
    applied = {key: state.ids for key, state in result.states["applied"].items()}
    for connection in result.accepted:
        sent: dict[str, list[int]] = {}
        for payload in connection:
            key, number = payload.decode().split(":")
            sent.setdefault(f"k{key}", []).append(int(number))
        for key, numbers in sent.items():
            known = set(numbers)
            got = [number for number in applied.get(key, []) if number in known]
            wanted = [number for number in numbers if number in got]
            if got != wanted:
                return f"key {key} got {got} of a connection that brought {wanted}"
    return ""


def disorder_at_receivers(chosen: Case, result: SimulationResult) -> str:
    """Return for which key results of one connection arrived in another order than their records.

    What arrives again after a failure is left out: of each result the first arrival counts.
    """
    if chosen.application not in ORDERED:
        return ""
    for pieces in result.arrivals.values():
        places = {line: place for place, line in reversed([*enumerate(lines_of(pieces))])}
        for connection in result.accepted:
            last: dict[str, int] = {}
            for payload in connection:
                if payload in result.sent_again:
                    continue  # its first result may be of a connection from before
                key, _, _ = payload.decode().partition(":")
                place = places.get(payload + b"\n", -1)
                if -1 < place < last.get(key, -1):
                    return f"result {payload!r} arrived before an earlier one of its key"
                last[key] = max(place, last.get(key, -1))
    return ""


def lines_of(pieces: list[tuple[int, bytes]]) -> list[bytes]:
    """Return the whole lines of all connections, in the order in which their ends arrived."""
    rests: dict[int, bytes] = {}
    found: list[bytes] = []
    for connection, piece in pieces:
        *whole, rests[connection] = (rests.get(connection, b"") + piece).split(b"\n")
        found += [line + b"\n" for line in whole]
    return found


def outcome(
    seed: int, *, durable: bool = True, with_logs: bool = False
) -> tuple[int, Counter[str], str]:
    """Return seed, faults injected, and what went wrong; for processes of a pool."""
    try:
        result: Any = run_seed(seed, durable=durable, with_logs=with_logs)
    except SimulationError as error:
        return seed, Counter(), str(error)
    return seed, result.injected, ""
