"""Steps at which records wait, and resources, in clusters of real processes."""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.durable import check_output, wait_checkpoints
from tests.cluster.harness import application_options, run_to_end, running, wait_until
from tests.cluster.test_partitions import durable, size_of
from tests.cluster.test_resize import cluster_of

pytestmark = pytest.mark.cluster

KINDS = ["async", "thread", "batch"]


def expected(partition_count: int, number_count: int) -> Counter[str]:
    return Counter(
        f"p{partition}.{number}"
        for partition in range(partition_count)
        for number in range(number_count)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_all_that_waits_is_processed_before_a_run_ends(tmp_path: Path, kind: str) -> None:
    options = ["3", "1000", kind, "--workers", "2"]
    ended = run_to_end(tmp_path, *application_options("asking"), *options)
    assert ended.returncode == 0, ended.stderr
    check_output(tmp_path / "out", expected(3, 1000))
    pids = Counter(path.name.split("-")[1] for path in tmp_path.glob("made-*"))
    assert [*pids.values()] == [1, 1]
    assert {path.name for path in tmp_path.glob("closed-*")} == {f"closed-{pid}" for pid in pids}


@pytest.mark.parametrize("kind", KINDS)
def test_what_waits_in_a_process_that_is_killed_is_asked_again(tmp_path: Path, kind: str) -> None:
    out = tmp_path / "out"
    options = durable("4", "8000", kind)
    with running(tmp_path, "asking", *options) as cluster:
        cluster.wait_ready()
        wait_until("output is committed", lambda: size_of(out) > 0)
        os.kill(cluster.pid("w2"), signal.SIGKILL)
        cluster.wait_ready(epoch=2)
        size = size_of(out)
        wait_until("more is committed", lambda: size_of(out) > size)
        cluster.signal(signal.SIGKILL)
        cluster.wait_end()
    ended = run_to_end(tmp_path, *application_options("asking"), *options)
    assert ended.returncode == 0, ended.stderr
    check_output(out, expected(4, 8000))


@pytest.mark.parametrize(("kind", "count"), [("async", 12_000), ("thread", 60_000)])
def test_what_waits_moves_when_the_cluster_grows_and_shrinks(
    tmp_path: Path, kind: str, count: int
) -> None:
    options = durable("4", str(count), kind)
    with cluster_of(tmp_path, *options, module="asking") as cluster:
        wait_checkpoints(tmp_path / "kept")
        cluster.resize(["w3", "w4"], [])
        wait_checkpoints(tmp_path / "kept")
        cluster.resize([], ["w1", "w3"])
        assert cluster.wait_end() == 0
    check_output(tmp_path / "out", expected(4, count))


def test_a_resource_that_cannot_be_made_ends_the_run_with_a_sentence(tmp_path: Path) -> None:
    options = ["1", "10", "broken", "--workers", "2"]
    ended = run_to_end(tmp_path, *application_options("asking"), *options)
    assert ended.returncode == 1
    sentence = "resource 'service' of step 'ask' cannot be made: OSError: there is no such service"
    assert sentence in ended.stderr
    assert [*tmp_path.glob("made-*")] == []


def test_a_plan_makes_no_resources(tmp_path: Path) -> None:
    ended = run_to_end(tmp_path, *application_options("asking"), "1", "10", "--plan")
    assert ended.returncode == 0, ended.stderr
    assert "at most 50 records" in ended.stdout
    assert [*tmp_path.glob("made-*")] == []
