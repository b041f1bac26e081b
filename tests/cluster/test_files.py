"""Files in, files out: nothing listens, and the run ends by itself when the file has."""

import json
import os
import signal
from collections import Counter
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.cluster.harness import (
    application_options,
    framed,
    is_gone,
    run_to_end,
    running,
    wait_until,
)

pytestmark = pytest.mark.cluster


RECORDS = [b"%d" % (number % 97) for number in range(20_000)] + [b"", b"the end"]


def counted(records: list[bytes]) -> list[bytes]:
    """What the application makes of records, in their order."""
    seen: Counter[bytes] = Counter()
    lines = []
    for record in records:
        seen[record] += 1
        lines.append(b"%s %d\n" % (record, seen[record]))
    return lines


def run(folder: Path, content: bytes | None, *options: str) -> CompletedProcess[str]:
    if content is not None:
        (folder / "in").write_bytes(content)
    return run_to_end(folder, *application_options("files"), *options)


def events(ended: CompletedProcess[str]) -> list[str]:
    lines = [line for line in ended.stderr.splitlines() if line.startswith("{")]
    return [json.loads(line)["event"] for line in lines]


def errors(ended: CompletedProcess[str]) -> list[str]:
    """What the command says to people, without its first word."""
    said = ended.stderr.rpartition("Error: ")[2]
    return said.splitlines()


def test_on_one_worker_output_is_in_the_order_of_the_file(tmp_path: Path) -> None:
    ended = run(tmp_path, b"\n".join(RECORDS), "newline")
    assert ended.returncode == 0, ended.stderr
    for name in ("out", "copy"):
        assert (tmp_path / name).read_bytes() == b"".join(counted(RECORDS))
    assert events(ended)[-1] == "cluster.stopped"


def test_a_file_is_read_once_in_the_cluster(tmp_path: Path) -> None:
    ended = run(tmp_path, framed(*RECORDS), "length", "--workers", "3")
    assert ended.returncode == 0, ended.stderr
    for name in ("out", "copy"):
        lines = (tmp_path / name).read_bytes().splitlines(keepends=True)
        assert Counter(lines) == Counter(counted(RECORDS))
    assert events(ended).count("source.finished") == 1


def test_a_run_replaces_the_output_of_the_last(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"of the last run\n")
    ended = run(tmp_path, b"", "newline", "--workers", "2")
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "out").read_bytes() == b""


def test_a_damaged_file_ends_the_run_with_an_error_behind_what_was_sound(tmp_path: Path) -> None:
    damaged = framed(*RECORDS) + b"\xff\xff\xff\xff"
    ended = run(tmp_path, damaged, "length", "--workers", "2")
    assert ended.returncode == 1
    (error,) = errors(ended)
    assert error == (
        f"the source file {tmp_path}/in was not read to its end: the header at byte "
        f"{len(damaged) - 4} of the stream, ff ff ff ff, tells a payload of 4294967295 bytes, more "
        "than the 16777216 allowed"
    )
    lines = (tmp_path / "out").read_bytes().splitlines(keepends=True)
    assert Counter(lines) == Counter(counted(RECORDS))


def test_files_that_cannot_be_used_are_told_before_any_worker_starts(tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    ended = run(tmp_path, None, "newline")
    assert ended.returncode == 2
    assert errors(ended) == [
        "the source of pipeline 'records' reads in, which cannot be read: No such file or "
        "directory; put the file there, or correct the path",
        "a sink writes to copy, which is a folder; give a file",
    ]
    assert events(ended) == []
    assert not (tmp_path / "out").exists()


def test_output_is_there_once_whichever_process_is_killed(tmp_path: Path) -> None:
    records = [b"%d" % (number % 997) for number in range(1_200_000)]
    (tmp_path / "in").write_bytes(b"\n".join(records))
    options = ["newline", "--workers", "3", "--resilience-dir", "kept"]
    options += ["--checkpoint-interval", "0.1"]
    with running(tmp_path, "files", *options) as cluster:
        cluster.wait_ready()
        wait_until("output is committed", lambda: (tmp_path / "out").stat().st_size > 0)
        os.kill(cluster.pid("w2"), signal.SIGKILL)
        size = (tmp_path / "out").stat().st_size
        cluster.wait_ready(epoch=2)
        wait_until("more is committed", lambda: (tmp_path / "out").stat().st_size > size)
        pids = cluster.pids()
        cluster.signal(signal.SIGKILL)
        cluster.wait_end()
        wait_until("the workers follow", lambda: all(is_gone(pid) for pid in pids))
    ended = run_to_end(tmp_path, *application_options("files"), *options)
    assert ended.returncode == 0, ended.stderr
    for name in ("out", "copy"):
        lines = (tmp_path / name).read_bytes().splitlines(keepends=True)
        assert Counter(lines) == Counter(counted(records))
    assert [each.name for each in tmp_path.glob(".*.staged")] == []
    again = run_to_end(tmp_path, *application_options("files"), *options)
    assert again.returncode == 0, again.stderr
    assert len((tmp_path / "out").read_bytes().splitlines()) == len(records)
