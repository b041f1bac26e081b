"""How much there is of journals on disk: lengths, without gaps, and without a system's zeros."""

import os
from pathlib import Path

import pytest

from tests.workers.storage.test_journal_files import NAME, entries, files_of, write
from wallaroo.checkpoint.blocks import BLOCK_HEAD_BYTES, HEADER_BYTES
from wallaroo.checkpoint.journal import ENTRY_HEAD_BYTES
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.errors import DamagedFileError
from wallaroo_workers.storage.journal_extents import journal_extents
from wallaroo_workers.storage.journal_files import JournalReader


def test_an_extent_goes_over_all_segments(tmp_path: Path) -> None:
    offsets = write(tmp_path, *[b"x" * 90 for _ in range(8)])
    (extent,) = journal_extents(tmp_path)
    last = files_of(tmp_path)[-1]
    assert (extent.begin, extent.last) == (0, int(last.name))
    assert extent.end == offsets[-1] + BLOCK_HEAD_BYTES + ENTRY_HEAD_BYTES + 90


def test_only_what_is_behind_the_last_gap_counts(tmp_path: Path) -> None:
    write(tmp_path, *[b"x" * 90 for _ in range(8)])
    second, third = files_of(tmp_path)[1:3]
    os.truncate(second, second.stat().st_size - 1)
    (extent,) = journal_extents(tmp_path)
    assert extent.begin == int(third.name)
    third.unlink()
    (extent,) = journal_extents(tmp_path)
    assert extent.begin == int(files_of(tmp_path)[2].name)


@pytest.mark.parametrize("zeros", [BLOCK_HEAD_BYTES, 5000])
def test_zeros_at_the_end_do_not_count(tmp_path: Path, zeros: int) -> None:
    (offset,) = write(tmp_path, b"frames")
    (path,) = files_of(tmp_path)
    length = path.stat().st_size
    os.truncate(path, length + zeros)
    assert journal_extents(tmp_path)[0].end == length
    os.truncate(path, offset)
    os.truncate(path, offset + zeros)
    assert journal_extents(tmp_path)[0].end == offset


def test_zeros_that_are_an_entrys_own_count(tmp_path: Path) -> None:
    write(tmp_path, b"frames" + bytes(100))
    (path,) = files_of(tmp_path)
    assert journal_extents(tmp_path)[0].end == path.stat().st_size


@pytest.mark.parametrize("length", [0, 4, HEADER_BYTES, 100])
def test_a_header_that_was_never_written_is_an_empty_journal(tmp_path: Path, length: int) -> None:
    write(tmp_path)
    (path,) = files_of(tmp_path)
    os.truncate(path, 0)
    os.truncate(path, length)
    assert entries(tmp_path) == []
    assert journal_extents(tmp_path)[0].end in (0, length if length < BLOCK_HEAD_BYTES else 0)


def test_a_journal_without_files_is_none(tmp_path: Path) -> None:
    write(tmp_path)
    files_of(tmp_path)[0].unlink()
    assert journal_extents(tmp_path) == []
    assert journal_extents(tmp_path / "none") == []


def test_a_replay_refuses_an_end_that_is_before_the_one_that_is_known(tmp_path: Path) -> None:
    offsets = write(tmp_path, b"one", b"two")
    (path,) = files_of(tmp_path)
    length = path.stat().st_size
    os.truncate(path, length - 1)
    known = JournalPosition(NAME, offsets[0], {}, end=length)
    with pytest.raises(DamagedFileError, match=f"ends at {offsets[1]}, .* {length} bytes"):
        list(JournalReader(tmp_path, known))
