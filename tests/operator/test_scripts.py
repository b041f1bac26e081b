"""A covering few of the plays and stories of ``make operator-test``; together below a minute."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.harness import run_to_end
from tests.operator import stories
from tests.operator.plays import play_chain, play_crashes, play_resizes
from tests.operator.script import FOLDER

pytestmark = pytest.mark.cluster


def test_a_chain_on_three_workers(tmp_path: Path) -> None:
    play_chain(tmp_path, ("to_state_partition", "to_parallel", "to_stateful"), 3)


def test_grow_and_shrink_while_records_are_on_their_way(tmp_path: Path) -> None:
    play_resizes(tmp_path, (1, -1), ("to_parallel", "to_state_partition"))


def test_a_worker_and_an_initializer_that_crash_lose_nothing(tmp_path: Path) -> None:
    play_crashes(tmp_path, ("worker", "initializer"))


@pytest.mark.parametrize(
    "story",
    [
        stories.a_crashed_worker_rejoins_without_its_state_where_resilience_is_off,
        stories.exit_in_a_computation_ends_its_worker_with_that_status,
        stories.a_clean_shutdown_at_any_worker_ends_all,
    ],
    ids=lambda story: story.__name__,
)
def test_a_story(tmp_path: Path, story: Callable[[Path], None]) -> None:
    story(tmp_path)


@pytest.mark.parametrize("asked", ["initializer", "worker1"])
def test_a_clean_shutdown_ends_a_cluster_that_still_waits(tmp_path: Path, asked: str) -> None:
    stories.a_clean_shutdown_before_all_have_come_ends_all(tmp_path, asked)


def test_a_mistake_on_the_line_is_told_as_the_original_does() -> None:
    done = run_to_end(FOLDER, "--application-module", "chains", "--cluster-initializer")
    assert done.returncode == 1
    assert done.stderr == (
        "Error: Cluster initializer needs its data channel address to be specified via --data.\n"
    )
