"""Records that are combined before they travel, on real workers: each counts once, also if one of
the workers is killed."""

import socket
from pathlib import Path

import pytest

from tests.cluster.durable import kill, lines_in, wait_checkpoints
from tests.cluster.harness import running, wait_until

pytestmark = pytest.mark.cluster

KEYS = [f"key{number}" for number in range(10)]
COPIES = 60


def send(connection: socket.socket, first: int, end: int) -> None:
    """Send many records of each key for each of these seconds."""
    records = [f"{key} {second}\n" for second in range(first, end) for key in KEYS * COPIES]
    connection.sendall("".join(records).encode())


def wait_counts(folder: Path, end: int) -> set[str]:
    """Wait for all windows up to ``end``; return how their records have travelled."""

    def found() -> list[list[str]]:
        return [line.split() for line in lines_in(folder / "out")]

    wait_until(f"windows up to {end}", lambda: len(found()) >= len(KEYS) * end // 10)
    counts = {(key, int(start)): int(count) for key, start, count, _ in found()}
    expected = {(key, start): 10 * COPIES for key in KEYS for start in range(0, end, 10)}
    assert (counts, sum(lines_in(folder / "out").values())) == (expected, len(expected))
    return {travelled for *_, travelled in found()}


@pytest.mark.parametrize("workers", [1, 3])
def test_all_records_count_once_though_a_worker_is_killed(tmp_path: Path, workers: int) -> None:
    options = ("--workers", str(workers), "--resilience-dir", "kept")
    with running(tmp_path, "combined", *options, "--checkpoint-interval", "0.2") as cluster:
        cluster.wait_ready()
        for epoch, (first, end) in enumerate([(0, 36), (36, 66), (66, 96)], start=1):
            address = ("127.0.0.1", cluster.source_port())
            with socket.create_connection(address, timeout=20) as connection:
                send(connection, first, end)
                travelled = wait_counts(tmp_path, end - 6)
                # A process that was started again is another one, too.
                assert ("combined" in travelled) == (workers > 1 or epoch > 1)
                wait_checkpoints(tmp_path / "kept")
            if epoch < 3:
                kill(cluster, "w1")
                cluster.wait_ready(epoch=epoch + 1)
        assert cluster.stop() == 0
        assert cluster.errors == []
