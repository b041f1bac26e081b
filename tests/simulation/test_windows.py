"""Windows whatever fails: each result once, with exactly the records of its window."""

from dataclasses import replace

import pytest

from tests.simulation.seeds import SHAPES, run_case
from tests.simulation.windowed_applications import APPLICATIONS, case
from wallaroo.testing import SimulationResult

SEEDS = 80
SEEDS_A_TEST = 20


def run_seed(seed: int) -> SimulationResult:
    # What is lost with a disk is sent again behind later records, and is late then.
    faults = replace(SHAPES[seed // len(APPLICATIONS) % len(SHAPES)], disks_lost=0, hosts_lost=0)
    return run_case(case(seed), seed, faults)


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_each_window_fires_once_with_all_its_records(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_seed(seed)
