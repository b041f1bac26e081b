"""Runs that end in order, and the same command run again: what was counted is counted on."""

import socket
from pathlib import Path

import pytest

from tests.cluster.durable import (
    Deployment,
    check_same,
    kept_manifests,
    newest_manifest,
    payloads_of,
    totals_in,
    totals_of,
    wait_checkpoints,
)
from tests.cluster.harness import (
    Receiver,
    framed,
    free_port,
    lines_of,
    running,
    send_bytes,
    wait_until,
)
from wallaroo.routing.partition_map import PartitionMap

pytestmark = pytest.mark.cluster

KEYS = 50


def numbers(first: int, last: int) -> bytes:
    """The numbers from first to last, ready to be sent."""
    return framed(*payloads_of("sent", range(first, last), KEYS))


def wait_lines(receiver: Receiver, count: int) -> None:
    wait_until(f"{count} lines have come", lambda: receiver.line_count() == count)


def test_the_same_command_carries_on_with_as_many_workers_more_and_fewer(tmp_path: Path) -> None:
    counts = Deployment(tmp_path, is_sent_to=True, key_count=KEYS)
    for run, workers in enumerate((1, 1, 4, 2)):
        # None is due before the end: what is saved is the last checkpoint's doing.
        with counts.running(workers=workers, interval_s=600) as cluster:
            cluster.wait_ready()
            (begin,) = cluster.events("checkpoint.selected")
            assert begin["keys"] == (KEYS if run else 0)
            assert begin["checkpoint"] == ("none" if run == 0 else 2 * run)
            send_bytes(counts.port, numbers(1_000 * run, 1_000 * (run + 1)))
            assert cluster.stop() == 0
            assert cluster.errors == []
        totals = totals_of("sent", 1_000 * (run + 1), KEYS)
        counts.check(totals)
        manifest = newest_manifest(counts.store)
        assert (manifest.number, manifest.is_claim) == (2 * run + 2, False)
        assert manifest.members == [f"w{number}" for number in range(1, workers + 1)]


def test_a_run_goes_on_with_another_number_of_partitions(tmp_path: Path) -> None:
    counts = Deployment(tmp_path, is_sent_to=True, key_count=KEYS)
    for run, (partitions, workers) in enumerate([(1024, 2), (64, 2), (4096, 3), (1024, 1)]):
        options = ["--partitions", str(partitions)] if partitions != 1024 else []
        with counts.running(*options, workers=workers, interval_s=600) as cluster:
            cluster.wait_ready()
            changed = [line["partition_count"] for line in cluster.events("state.repartitioned")]
            assert changed == ([partitions] if run else [])
            send_bytes(counts.port, numbers(1_000 * run, 1_000 * (run + 1)))
            assert cluster.stop() == 0
        counts.check(totals_of("sent", 1_000 * (run + 1), KEYS))
        (owners,) = map(PartitionMap.from_wire, newest_manifest(counts.store).partition_maps)
        assert len(owners.owners) == partitions


def test_a_stop_takes_in_what_is_on_its_way_and_the_sender_goes_on_with_the_next_run(
    tmp_path: Path,
) -> None:
    counts = Deployment(tmp_path, line_count=20_000, is_sent_to=True, records_per_ms=50)
    sender = None
    for _ in range(2):
        with counts.running(workers=2) as cluster:
            cluster.wait_ready()
            sender = sender or counts.sender()
            sender.wait_sent(1_000)
            wait_checkpoints(counts.store)
            assert cluster.stop() == 0
            assert cluster.errors == []
    with counts.running(workers=2) as cluster:
        cluster.wait_ready()
        counts.wait_lines()
        assert sender is not None
        totals = sender.stop()
        assert cluster.stop() == 0
    counts.check(totals)


def test_a_run_of_files_alone_ends_by_itself_and_run_again_adds_nothing(tmp_path: Path) -> None:
    counts = Deployment(tmp_path, line_count=5_000)
    for _ in range(2):
        with counts.running(workers=2) as cluster:
            assert cluster.wait_end() == 0
            assert cluster.errors == []
        counts.check()


def test_only_so_many_checkpoints_are_kept_and_nothing_else(tmp_path: Path) -> None:
    counts = Deployment(tmp_path, is_sent_to=True)
    with counts.running("--keep-checkpoints", "2", workers=2, interval_s=0.05) as cluster:
        cluster.wait_ready()
        sender = counts.sender()
        wait_checkpoints(counts.store, 8)
        totals = sender.stop()
        assert cluster.stop() == 0
    before, last = kept_manifests(counts.store)
    assert last.number == before.number + 1
    parts = {str(path.relative_to(counts.store)) for path in counts.store.glob("parts/*/*")}
    needed = {name for name in before.object_names() | last.object_names() if "parts" in name}
    assert needed <= parts
    # A round that was given up may have had a number that no checkpoint has reached yet.
    assert all(int(name.split("/")[1]) > last.number for name in parts - needed)
    counts.check(totals)
    # Each worker has one journal, and none of a life before.
    assert len([*counts.journals.iterdir()]) == 2


def test_totals_go_on_at_a_tcp_sink_and_each_line_comes_once_without_a_crash(
    tmp_path: Path,
) -> None:
    receiver, port, store = Receiver(), free_port(), tmp_path / "checkpoints"
    options = ["--in", f"127.0.0.1:{port}", "--out", receiver.address]
    options += ["--resilience-dir", str(store), "--checkpoint-interval", "0.1"]
    for run in range(2):
        with running(tmp_path, "counts", *options, "--workers", "2") as cluster:
            cluster.wait_ready()
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(numbers(5_000 * run, 5_000 * run + 2_500))
                wait_checkpoints(store)
                connection.sendall(numbers(5_000 * run + 2_500, 5_000 * (run + 1)))
            wait_lines(receiver, 5_000 * (run + 1))
            assert cluster.stop() == 0
    check_same(totals_in(store), totals_of("sent", 10_000, KEYS))
    lines = lines_of(receiver.finish())
    assert set(lines.values()) == {1}
    assert len(lines) == 10_000
