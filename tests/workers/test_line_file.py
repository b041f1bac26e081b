"""A file of lines has whole lines only, whatever stopped the one who wrote it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers.full_disk import full_from
from wallaroo_workers.line_file import READ_BACK_BYTES, LineFile, LinesNotWrittenError

WRITER = """
import os, sys
from pathlib import Path
from wallaroo_workers.line_file import LineFile

file = LineFile(Path(sys.argv[1]))
print("open", flush=True)
while True:
    file.append(b"x" * 1_000_000 + b"\\n")
"""


def test_lines_are_appended_to_those_of_before(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    for line in (b"one\n", b"two\nthree\n"):
        file = LineFile(path)
        file.append(line)
        file.close()
    assert path.read_bytes() == b"one\ntwo\nthree\n"


def test_a_disk_that_is_full_in_the_middle_of_a_line_leaves_the_whole_ones(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    file = LineFile(path)
    file.append(b"first\n")
    with full_from(16), pytest.raises(LinesNotWrittenError) as told:
        file.append(b"second\nthird, which is longer\nfourth\n")
    assert told.value.written_count == 1
    assert "too large" in str(told.value)
    assert path.read_bytes() == b"first\nsecond\n"
    # Once there is room again, nothing of the cut line is in the way.
    file = LineFile(path)
    assert file.cut_bytes == 0
    file.append(b"fifth\n")
    file.close()
    assert path.read_bytes() == b"first\nsecond\nfifth\n"


def test_a_disk_that_takes_nothing_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"first\n")
    file = LineFile(path)
    with full_from(6), pytest.raises(LinesNotWrittenError) as told:
        file.append(b"second\n")
    assert told.value.written_count == 0
    assert path.read_bytes() == b"first\n"


def test_a_file_that_was_emptied_meanwhile_is_not_filled_up_with_zeros(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    file = LineFile(path)
    file.append(b"first\n")
    os.truncate(path, 0)
    with full_from(10), pytest.raises(LinesNotWrittenError):
        file.append(b"second\nthird\n")
    assert path.read_bytes() == b"second\n"


@pytest.mark.parametrize(
    ("left", "whole"),
    [
        (b"", b""),
        (b"one\n", b"one\n"),
        (b"one\ntw", b"one\n"),
        (b"on", b""),
        (b"one\n" + bytes(5000), b"one\n"),  # blocks that the disk never got
        (b"one\n" + b"x" * (READ_BACK_BYTES - 1), b"one\n"),
        (b"one\n" + b"x" * READ_BACK_BYTES, b"one\n"),
        (b"one\n" + b"x" * (3 * READ_BACK_BYTES + 7), b"one\n"),
        (b"x" * (2 * READ_BACK_BYTES), b""),
    ],
)
def test_what_a_crash_left_behind_the_last_whole_line_is_cut_off(
    tmp_path: Path, left: bytes, whole: bytes
) -> None:
    path = tmp_path / "lines"
    path.write_bytes(left)
    file = LineFile(path)
    assert (file.size, file.cut_bytes) == (len(whole), len(left) - len(whole))
    file.append(b"next\n")
    file.close()
    assert path.read_bytes() == whole + b"next\n"


def test_a_writer_that_is_killed_leaves_lines_that_the_next_one_can_follow(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    command = [sys.executable, "-c", WRITER, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == b"open\n"
        while path.stat().st_size < 2_000_000:
            os.sched_yield()
        os.kill(writer.pid, signal.SIGKILL)
    file = LineFile(path)
    file.append(b"next\n")
    file.close()
    *lines, last = path.read_bytes().splitlines(keepends=True)
    assert last == b"next\n"
    assert {*lines} == {b"x" * 1_000_000 + b"\n"}


def test_a_file_that_another_process_writes_to_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    file = LineFile(path)
    path.write_bytes(b"half a li")
    with pytest.raises(BlockingIOError):
        LineFile(path)
    assert path.read_bytes() == b"half a li"
    file.close()
    LineFile(path).close()
    assert path.read_bytes() == b""
