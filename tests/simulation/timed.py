"""Seeds of applications with late records, several sources, timers, alarms and keys that expire."""

from collections import Counter
from dataclasses import replace
from functools import partial

from tests.simulation.seeds import FEW_CRASHES, HAND_OVERS, MOVES, VISITS
from tests.simulation.timed_applications import APPLICATIONS, case
from tests.simulation.timed_oracle import problems
from wallaroo.testing import ALL_FAULTS, SimulationError, SimulationResult, simulate
from wallaroo.testing.store import Objects

SHAPES = (ALL_FAULTS, VISITS, FEW_CRASHES, HAND_OVERS)
SHAPES_WITH_LOGS = (MOVES, replace(MOVES, worker_crashes=0, crashes_together=0), ALL_FAULTS)


def run_timed(
    seed: int, objects: Objects | None = None, *, with_logs: bool = False
) -> SimulationResult:
    """Run one seed; raises ``SimulationError``."""
    chosen = case(seed, with_logs=with_logs)
    shapes = SHAPES_WITH_LOGS if with_logs else SHAPES
    faults = shapes[seed // len(APPLICATIONS) % len(shapes)]
    if chosen.is_patient:
        # What is lost with a disk is sent again behind later records, and is late then.
        faults = replace(faults, disks_lost=0, hosts_lost=0, partitions_added=0)
    return simulate(
        chosen.plan,
        chosen.input,
        seed=seed,
        workers=chosen.workers,
        faults=faults,
        check_output=partial(problems, chosen),
        replay_command=f"python -m tests.simulation --timed --seed {seed}" + " --logs" * with_logs,
        objects=objects,
    )


def outcome(seed: int, *, with_logs: bool = False) -> tuple[int, Counter[str], str]:
    """Return seed, faults injected, and what went wrong; for processes of a pool."""
    try:
        result = run_timed(seed, with_logs=with_logs)
    except SimulationError as error:
        return seed, Counter(), str(error)
    return seed, result.injected, ""
