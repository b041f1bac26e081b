"""CPU time is worth what the bare loop did with it on the same CPU at the same time."""

import os
import subprocess
import sys

import pytest

from tests.bench.bare_loop import Look
from tests.bench.rows.row import spread
from tests.bench.scenarios import VOTES, Sample, Scenario
from tests.bench.speed import Used, bare_loops, bind_process, mean_speed, used_between

BUSY = """
import sys, time
sys.stdin.readline()
until_s = time.process_time() + 0.3
while time.process_time() < until_s:
    pass
print("done", flush=True)
sys.stdin.readline()
"""


def test_time_on_a_slow_cpu_is_worth_less() -> None:
    fast = used_between([Look(1.0, 0.5), Look(2.0, 0.5)])
    slow = used_between([Look(1.0, 1.0), Look(2.0, 1.0)])
    assert (fast, slow) == (Used(1.0, 2.0), Used(1.0, 1.0))
    assert fast + slow == Used(2.0, 3.0)
    assert fast - slow == Used(0.0, 1.0)


def test_a_change_of_speed_counts_from_when_it_came() -> None:
    looks = [Look(0.0, 1.0), Look(4.0, 1.0), Look(4.0, 2.0), Look(6.0, 2.0)]
    assert used_between(looks) == Used(6.0, 4.0 + 1.0)


def test_time_between_two_speeds_is_worth_their_mean() -> None:
    assert used_between([Look(0.0, 1.0), Look(1.0, 0.5)]) == Used(1.0, 1.5)


def test_the_mean_speed_is_of_records_for_each_second() -> None:
    assert mean_speed([Look(0.0, 1.0), Look(0.0, 0.5)]) == 1.5


def test_the_bare_loop_beside_a_process_tells_what_that_used() -> None:
    cpu = min(os.sched_getaffinity(0))
    letters, sample = Scenario(name="letters", module="letters"), Sample(VOTES, 9)
    command = [sys.executable, "-c", BUSY]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as busy:
        bind_process(busy.pid, {cpu})
        with bare_loops(letters, sample, {cpu: [busy.pid]}) as beside:
            beside.begin()
            assert busy.stdin is not None
            assert busy.stdout is not None
            busy.stdin.write(b"\n")
            busy.stdin.flush()
            assert busy.stdout.readline() == b"done\n"
            [looks] = beside.end()
        busy.communicate(b"\n")
    used = used_between(looks)
    assert used.cpu_s == pytest.approx(0.3, abs=0.02)
    assert used.bare_records > 1_000


def test_the_spread_of_one_round_is_that_round() -> None:
    assert set(spread([3.0]).values()) == {3.0}


def test_the_spread_of_many_rounds_names_quartiles_and_extremes() -> None:
    assert spread([1.0, 2.0, 3.0, 4.0, 50.0]) == {
        "median": 3.0, "quartile_low": 2.0, "quartile_high": 4.0, "min": 1.0, "max": 50.0,
    }  # fmt: skip
