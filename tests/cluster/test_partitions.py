"""Sources with partitions in clusters of real processes: each record once, whatever happens."""

import os
import signal
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster.durable import check_output, wait_checkpoints
from tests.cluster.harness import application_options, run_to_end, running, wait_until
from tests.cluster.test_control import Asked
from tests.cluster.test_resize import cluster_of

pytestmark = pytest.mark.cluster

KEYS = 20


def expected(number_count: int, *partitions: str) -> Counter[str]:
    """The lines for all numbers of these partitions, each once and in order."""
    return Counter(
        f"{partition}.{number % KEYS} {number // KEYS + 1}"
        for partition in partitions
        for number in range(number_count)
    )


def names(count: int) -> list[str]:
    return [f"p{number}" for number in range(count)]


def durable(*chosen: str, workers: int = 2) -> list[str]:
    kept = ["--resilience-dir", "kept", "--checkpoint-interval", "0.1"]
    return [*chosen, "--workers", str(workers), *kept]


def size_of(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


@pytest.mark.parametrize("chosen", [[], ["async"]])
def test_a_run_ends_with_the_last_of_its_partitions(tmp_path: Path, chosen: list[str]) -> None:
    options = ["4", "3000", *chosen, "--workers", "2"]
    ended = run_to_end(tmp_path, *application_options("partitions"), *options)
    assert ended.returncode == 0, ended.stderr
    check_output(tmp_path / "out", expected(3000, *names(4)))


def test_a_run_goes_on_where_the_one_before_has_ended(tmp_path: Path) -> None:
    for number_count in (1500, 1500, 3000):
        options = durable("4", str(number_count), "resumes")
        ended = run_to_end(tmp_path, *application_options("partitions"), *options)
        assert ended.returncode == 0, ended.stderr
        check_output(tmp_path / "out", expected(number_count, *names(4)))


@pytest.mark.parametrize("chosen", [[], ["async"]])
def test_each_record_counts_once_whichever_process_is_killed(
    tmp_path: Path, chosen: list[str]
) -> None:
    out = tmp_path / "out"
    options = durable("4", "5000", "waits", *chosen)
    with running(tmp_path, "partitions", *options) as cluster:
        cluster.wait_ready()
        wait_until("output is committed", lambda: size_of(out) > 0)
        os.kill(cluster.pid("w2"), signal.SIGKILL)
        cluster.wait_ready(epoch=2)
        wait_checkpoints(tmp_path / "kept")
        cluster.signal(signal.SIGKILL)
        cluster.wait_end()
    (tmp_path / "finish").touch()
    ended = run_to_end(tmp_path, *application_options("partitions"), *options)
    assert ended.returncode == 0, ended.stderr
    check_output(out, expected(5000, *names(4)))


def test_partitions_move_when_the_cluster_grows_and_shrinks(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with cluster_of(tmp_path, *durable("4", "5000", "waits"), module="partitions") as cluster:
        wait_checkpoints(tmp_path / "kept")
        cluster.resize(["w3", "w4"], [])
        wait_checkpoints(tmp_path / "kept")
        cluster.resize([], ["w1", "w3"])
        wait_checkpoints(tmp_path / "kept")
        os.kill(cluster.pid("w2"), signal.SIGKILL)
        (tmp_path / "finish").touch()
        assert cluster.wait_end() == 0
    check_output(out, expected(5000, *names(4)))


def test_partitions_that_are_found_later_are_read_from_their_beginning(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with running(tmp_path, "partitions", *durable("2", "500", "growing")) as cluster:
        cluster.wait_ready()
        wait_until("all is there", lambda: size_of(out) > 0)
        (tmp_path / "more-late").touch()
        wanted = expected(500, *names(2), "late")
        wait_until("the later one, too", lambda: size_of(out) >= size(wanted))
        cluster.signal(signal.SIGINT)
        assert cluster.wait_end() == 0
    check_output(out, wanted)


def test_the_readers_of_partitions_can_be_asked_for(tmp_path: Path) -> None:
    with running(tmp_path, "partitions", *durable("3", "200", "growing")) as cluster:
        cluster.wait_ready()
        asked = Asked(cluster)

        def rows() -> list[tuple[str, int, int, int]]:
            splits = asked.json("splits", "numbers")["splits"]
            return [(row["split"], row["position"], row["end"], row["lag"]) for row in splits]

        wanted = [(name, 200, 200, 0) for name in names(3)]
        wait_until("all is read", lambda: rows() == wanted)
        readers = Counter(row["worker"] for row in asked.json("splits")["splits"])
        assert sorted(readers.values()) == [1, 2]
        assert "p0" in asked.ask("splits").stdout
        assert "no pipeline 'others'" in asked.refused("splits", "others", status=2)
        assert cluster.stop() == 0


def size(lines: Counter[str]) -> int:
    return sum(len(line) + 1 for line in lines.elements())


def test_an_error_of_one_partition_is_the_status_of_a_run_that_reads_the_others(
    tmp_path: Path,
) -> None:
    options = ["3", "1000", "refuse", "--workers", "2"]
    ended = run_to_end(tmp_path, *application_options("partitions"), *options)
    assert ended.returncode == 1
    assert (
        "split 'p1' of pipeline 'numbers' ended early: numbers are missing; put them back"
        in ended.stderr
    )
    lines = expected(1000, "p0", "p2") + expected(500, "p1")
    check_output(tmp_path / "out", lines)


def test_a_position_that_cannot_be_stored_ends_the_run_without_a_store_too(tmp_path: Path) -> None:
    options = ["1", "1000", "unpackable", "--workers", "2"]
    ended = run_to_end(tmp_path, *application_options("partitions"), *options)
    assert ended.returncode == 1
    assert "Numbers.read (" in ended.stderr
    assert "msgpack cannot pack" in ended.stderr


def test_a_reader_that_hangs_costs_its_worker_and_no_record(tmp_path: Path) -> None:
    with running(tmp_path, "partitions", *durable("4", "8000", "hang")) as cluster:
        cluster.wait_ready()
        assert cluster.wait_end() == 0
        [stuck] = cluster.events("source.stuck")
        assert "in _hang" in stuck["stack"]
    check_output(tmp_path / "out", expected(8000, *names(4)))


def test_a_coroutine_that_blocks_its_worker_again_and_again_ends_the_run(tmp_path: Path) -> None:
    options = [*durable("1", "200", "async", "hangs", workers=1), "--max-restarts", "1"]
    with running(tmp_path, "partitions", *options) as cluster:
        cluster.wait_ready()
        assert cluster.wait_end() == 1
        first, second = cluster.events("source.stuck")
        assert first["method"] == "AsyncNumbers.read"
        assert "in _hang" in second["stack"]
        error, hint = cluster.errors
    assert "was lost 2 times within 600 s" in error
    assert "source.stuck" in hint
