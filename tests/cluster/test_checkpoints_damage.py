"""Files that are damaged and places that cannot be written: said with what to do, nothing lost."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.durable import (
    Deployment,
    flip_bit,
    kill_initializer,
    manifest_numbers,
    newest,
    newest_manifest,
    payloads_of,
    totals_in,
    totals_of,
    wait_checkpoints,
)
from tests.cluster.harness import framed, is_gone, send_bytes

pytestmark = pytest.mark.cluster

KEYS = 50
FOREIGN = b"GIF89a, and certainly nothing of ours"


def numbers(first: int, last: int) -> bytes:
    """The numbers from first to last, ready to be sent."""
    return framed(*payloads_of("sent", range(first, last), KEYS))


def send_and_stop(counts: Deployment, first: int, last: int, *options: str) -> None:
    """A run in which these numbers come, with checkpoints in between."""
    with counts.running("--keep-checkpoints", "3", *options, workers=2, interval_s=0.1) as cluster:
        cluster.wait_ready()
        for begin in range(first, last, 500):
            send_bytes(counts.port, numbers(begin, begin + 500))
            wait_checkpoints(counts.store)
        assert cluster.stop() == 0


def check_carries_on(counts: Deployment, *options: str) -> None:
    """A run with these options has the first 1,000 numbers, and takes more."""
    send_and_stop(counts, 1_000, 1_500, *options)
    counts.check(totals_of("sent", 1_500, KEYS))


def refusal(counts: Deployment, *options: str, status: int = 1) -> tuple[str, str]:
    """Run where it is to end at once with this status; return error and hint."""
    with counts.running(*options, workers=2) as cluster:
        assert cluster.wait_end() == status
        assert not cluster.ready_path.exists()
        error, hint = cluster.errors
    assert error.startswith("Error: ")
    assert hint.startswith("hint: ")
    return error, hint


@pytest.fixture(scope="module")
def first_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that received the first 1,000 numbers and was stopped in order."""
    folder = tmp_path_factory.mktemp("first-run")
    counts = Deployment(folder, is_sent_to=True, key_count=KEYS)
    send_and_stop(counts, 0, 1_000)
    counts.check(totals_of("sent", 1_000, KEYS))
    return folder


@pytest.fixture
def counts(first_run: Path, tmp_path: Path) -> Deployment:
    """What that run left, to go on with or to spoil."""
    shutil.copytree(first_run, tmp_path, dirs_exist_ok=True)
    return Deployment(tmp_path, is_sent_to=True, key_count=KEYS)


# Damage


def test_a_damaged_newest_manifest_is_refused_and_an_older_one_loses_nothing(
    counts: Deployment,
) -> None:
    before, last = manifest_numbers(counts.store)[-2:]
    path = counts.store / "manifests" / f"{last:010}"
    output = counts.sent.read_bytes()
    data = path.read_bytes()
    path.write_bytes(FOREIGN)
    error, _ = refusal(counts)
    assert f"{path}, byte 0: " in error
    path.write_bytes(data)
    flip_bit(path, len(data) // 2)
    error, hint = refusal(counts)
    assert f"{path}, byte 10: " in error
    assert f"--from-checkpoint {before}" in hint
    # Nothing was touched.
    assert newest(counts.store) == last
    assert counts.sent.read_bytes() == output
    check_carries_on(counts, "--from-checkpoint", str(before))


def test_a_part_that_is_cut_short_or_missing_is_refused(counts: Deployment) -> None:
    part = newest_manifest(counts.store).workers["w2"].parts[-1]
    path = counts.store / part.name
    data = path.read_bytes()
    path.write_bytes(data[:-7])
    error, hint = refusal(counts)
    assert f"{path}, byte {len(data) - 7}: it has {len(data) - 7} bytes" in error
    assert "restore" in hint
    path.unlink()
    error, hint = refusal(counts)
    assert str(path) in error
    assert "restore" in hint


def test_a_damaged_journal_is_refused_and_put_back_goes_on(tmp_path: Path) -> None:
    counts = Deployment(tmp_path, is_sent_to=True, key_count=KEYS)
    with counts.running(workers=1, interval_s=600) as cluster:
        cluster.wait_ready()
        for begin in (0, 500):
            with socket.create_connection(("127.0.0.1", counts.port)) as connection:
                connection.sendall(numbers(begin, begin + 500))
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(1) == b""
        kill_initializer(cluster)
    (path,) = counts.journals.glob("w1-*/*")
    flip_bit(path, 100)
    error, hint = refusal(counts)
    assert f"{path}, byte 10: " in error
    assert f"truncate --size=10 {path}" in hint
    flip_bit(path, 100)
    # Only the last entry is the crash's to cut short.
    with path.open("ab") as file:
        file.write(b"\0\0\1\0half a head")
    check_carries_on(counts)


def test_files_of_others_in_the_same_folders_are_left_alone(counts: Deployment) -> None:
    # Seconds since 1970 have as many digits as our numbers.
    foreign = ["notes.txt", "manifests/notes.txt", "manifests/12", "parts/notes.txt"]
    foreign += ["journals/notes.txt", "journals/w1-1/notes.txt", "logs/0000000001/notes.txt"]
    for name in foreign:
        path = counts.store / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(FOREIGN)
    check_carries_on(counts)
    assert all((counts.store / name).read_bytes() == FOREIGN for name in foreign)


# Places that cannot be written


@contextmanager
def refused(store: Path, folder: str = "parts") -> Iterator[None]:
    """Put a file where a folder was, so that no user can write into the folder."""
    place, aside = store / folder, store.parent / "aside"
    place.rename(aside)
    place.write_bytes(b"")
    try:
        yield
    finally:
        place.unlink()
        aside.rename(place)


def test_a_store_that_refuses_stops_checkpoints_loudly_but_not_records(tmp_path: Path) -> None:
    counts = Deployment(tmp_path, is_sent_to=True, key_count=KEYS)
    with counts.running(workers=2, interval_s=0.1) as cluster:
        cluster.wait_ready()
        send_bytes(counts.port, numbers(0, 500))
        wait_checkpoints(counts.store)
        with refused(counts.store):
            last = newest(counts.store)
            sender = counts.sender("meanwhile")
            line = cluster.wait_event("checkpoint.failed", 3)
            assert line["level"] == "warning"
            assert line["failed_in_a_row"] == 3
            assert str(counts.store / "parts") in line["reason"]
            sender.wait_sent(5_000)
            totals = sender.stop()
            assert newest(counts.store) <= last + 1
        wait_checkpoints(counts.store)
        assert cluster.stop() == 0
    counts.check(totals | totals_of("sent", 500, KEYS))


@pytest.mark.parametrize(
    ("folder", "reason"), [("parts", "worker w"), ("manifests", "checkpoint ")]
)
def test_too_many_failures_in_a_row_end_the_run_and_nothing_is_lost(
    tmp_path: Path, folder: str, reason: str
) -> None:
    counts = Deployment(tmp_path, is_sent_to=True, key_count=KEYS)
    with counts.running("--max-checkpoint-failures", "2", workers=2, interval_s=0.1) as cluster:
        cluster.wait_ready()
        sender = counts.sender()
        wait_checkpoints(counts.store)
        pids = cluster.pids()
        with refused(counts.store, folder):
            assert cluster.wait_end() == 1
        assert all(map(is_gone, pids))
        error, hint = cluster.errors
        assert error.startswith(f"Error: 3 checkpoints in a row could not be saved: {reason}")
        assert "nothing is lost: the same command continues" in hint
    with counts.running(workers=2) as cluster:
        cluster.wait_ready()
        totals = sender.stop()
        assert cluster.stop() == 0
    counts.check(totals)


class SmallDisk:
    """A disk of its own that can be filled up; needs the right to mount."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "none", str(folder)]
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no right to mount a small disk: {done.stderr.strip()}")

    def fill(self) -> None:
        with self._filler.open("ab", buffering=0) as file:
            for size in (1 << 20, 1 << 12, 1):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    continue

    def free(self) -> None:
        self._filler.unlink(missing_ok=True)

    def unmount(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk")
    yield disk
    disk.unmount()


@pytest.mark.parametrize("has_journals", [False, True], ids=["parts", "journals"])
def test_a_full_disk_is_said_and_all_goes_on_when_there_is_room(
    tmp_path: Path, disk: SmallDisk, has_journals: bool
) -> None:
    counts = Deployment(tmp_path, is_sent_to=True, key_count=KEYS, store=disk.folder / "store")
    if not has_journals:
        counts.use_journals(tmp_path / "journals")
    with counts.running(workers=2, interval_s=0.1) as cluster:
        cluster.wait_ready()
        sender = counts.sender()
        wait_checkpoints(counts.store)
        disk.fill()
        line = cluster.wait_event("checkpoint.failed", 2)
        assert "No space left" in line["reason"]
        if has_journals:
            line = cluster.wait_event("journal.write_failed")
            assert "No space left" in line["reason"]
            assert "free some space" in line["hint"]
        else:
            sender.wait_sent(2_000)
        disk.free()
        wait_checkpoints(counts.store)
        sender.wait_sent(2_000)
        totals = sender.stop()
        assert cluster.stop() == 0
    counts.check(totals)


# Another application


@pytest.mark.parametrize(
    ("change", "named", "count"),
    [
        (["--step", "tally"], "'tally'", 1_500),
        (["--state", "sums"], "'sums'", 500),
    ],
    ids=["step", "state"],
)
def test_a_changed_application_is_refused_unless_state_may_be_dropped(
    counts: Deployment, change: list[str], named: str, count: int
) -> None:
    counts.options += change
    error, hint = refusal(counts, status=2)
    assert error.startswith(f"Error: checkpoint {newest(counts.store)} is of another application: ")
    assert named in error
    assert "--allow-dropped-state" in hint
    send_and_stop(counts, 1_000, 1_500, "--allow-dropped-state")
    totals = totals_in(counts.store)
    assert sum(total.record_count for total in totals.values()) == count
    # From now on it is this application's.
    send_and_stop(counts, 1_500, 1_500)
    assert totals_in(counts.store) == totals
