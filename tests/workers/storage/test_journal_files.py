"""Journals on disk: what was appended is read, whatever a crash, a cut or a full disk left."""

import errno
import os
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.full_disk import full_from
from wallaroo.checkpoint.blocks import BLOCK_HEAD_BYTES, HEADER_BYTES, Buffer
from wallaroo.checkpoint.journal import ENTRY_HEAD_BYTES, Entry, segment_name
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.errors import DamagedFileError, StoreError
from wallaroo_workers.storage import journal_files
from wallaroo_workers.storage.journal_files import (
    JournalReader,
    JournalSync,
    JournalWriter,
    cut_journal,
    list_journals,
)

NAME = "w1-0000000003"


def writer_in(folder: Path, sync: JournalSync = "os", segment_bytes: int = 200) -> JournalWriter:
    return JournalWriter(folder, "w1", 3, sync, segment_bytes)


def entries(folder: Path, offset: int = 0, done: dict[int, int] | None = None) -> list[Entry]:
    return list(JournalReader(folder, JournalPosition(NAME, offset, done or {})))


def write(folder: Path, *frames: bytes) -> list[int]:
    """Write a journal of one record for each of `frames`; return the offsets of the entries."""
    writer = writer_in(folder)
    offsets = [writer.append(0, 1, some) for some in frames]
    writer.close()
    return offsets


def files_of(folder: Path) -> list[Path]:
    return sorted((folder / NAME).iterdir())


def test_entries_come_back_over_all_segments(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)
    frames = [bytes([number]) * number for number in range(40)]
    offsets = [writer.append(number, number + 1, some) for number, some in enumerate(frames)]
    writer.close()
    assert len(files_of(tmp_path)) > 3
    assert entries(tmp_path) == [
        Entry(offset, number, number + 1, some, 0)
        for number, (offset, some) in enumerate(zip(offsets, frames, strict=True))
    ]


def test_an_offset_is_a_place_in_the_files_one_behind_the_other(tmp_path: Path) -> None:
    offsets = write(tmp_path, *[b"x" * 30] * 20)
    together = b"".join(path.read_bytes() for path in files_of(tmp_path))
    for offset in offsets:
        begin = offset + BLOCK_HEAD_BYTES + ENTRY_HEAD_BYTES
        assert together[begin : begin + 30] == b"x" * 30
    assert offsets[0] == HEADER_BYTES


@settings(max_examples=50)
@given(frames=st.lists(st.binary(max_size=90), min_size=1, max_size=12), draw=st.data())
def test_reading_begins_at_any_entry_and_tells_what_is_done(
    frames: list[bytes], draw: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("journals")
    writer = writer_in(folder)
    offsets = [writer.append(0, 3, some) for some in frames]
    end = writer.offset
    writer.close()
    begin = draw.draw(st.sampled_from([0, *offsets, end]))
    behind = [offset for offset in offsets if offset >= begin]
    done = draw.draw(st.dictionaries(st.sampled_from(behind), st.integers(1, 3))) if behind else {}
    assert [(entry.offset, entry.skip) for entry in entries(folder, begin, done)] == [
        (offset, done.get(offset, 0)) for offset in behind if done.get(offset, 0) < 3
    ]


@settings(max_examples=50)
@given(draw=st.data())
def test_a_journal_cut_short_by_a_crash_has_its_whole_entries(
    draw: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("journals")
    offsets = write(folder, *[b"abc"] * 20)
    last = files_of(folder)[-1]
    first = int(last.name)
    size = draw.draw(st.integers(0, last.stat().st_size))
    os.truncate(last, size)
    entry_bytes = BLOCK_HEAD_BYTES + ENTRY_HEAD_BYTES + 3
    whole = [offset for offset in offsets if offset + entry_bytes <= first + size]
    reader = JournalReader(folder, JournalPosition(NAME, 0, {}))
    assert [entry.offset for entry in reader] == whole
    begin = max([HEADER_BYTES, *(offset - first + entry_bytes for offset in whole)])
    assert reader.torn_bytes == (size - begin if size >= HEADER_BYTES else size)


def test_a_journal_shorter_than_the_position_has_nothing_to_replay(tmp_path: Path) -> None:
    """Without fsync a loss of power may take back what a checkpoint has already."""
    offsets = write(tmp_path, b"a", b"b")
    os.truncate(files_of(tmp_path)[0], offsets[1])
    assert entries(tmp_path, offsets[1] + 23) == []


def test_a_changed_byte_is_damage_with_the_place_and_the_way_on(tmp_path: Path) -> None:
    offsets = write(tmp_path, b"aaa", b"bbb", b"ccc")
    (path,) = files_of(tmp_path)
    data = bytearray(path.read_bytes())
    data[offsets[1] + BLOCK_HEAD_BYTES + ENTRY_HEAD_BYTES] ^= 1
    path.write_bytes(data)
    reader = iter(JournalReader(tmp_path, JournalPosition(NAME, 0, {})))
    assert next(reader).frames == b"aaa"
    with pytest.raises(DamagedFileError) as caught:
        next(reader)
    assert (caught.value.file, caught.value.offset) == (str(path), offsets[1])
    assert f"truncate --size={offsets[1]} {path}" in caught.value.hint

    os.truncate(path, offsets[1])
    assert [entry.frames for entry in entries(tmp_path)] == [b"aaa"]


def test_a_segment_that_is_missing_short_or_foreign_is_damage(tmp_path: Path) -> None:
    write(tmp_path, *[b"x" * 80] * 8)
    one, two, *_ = files_of(tmp_path)
    second = two.read_bytes()
    two.unlink()
    with pytest.raises(DamagedFileError, match="the next file begins with offset"):
        entries(tmp_path)
    two.write_bytes(second[:-5])
    with pytest.raises(DamagedFileError, match="bytes are missing"):
        entries(tmp_path)
    two.write_bytes(b"GIF89a" + second[6:])
    with pytest.raises(DamagedFileError, match="not a file of wallaroo") as caught:
        entries(tmp_path)
    # Others' files in the folder of a store are for other folders; this is a journal's place.
    assert "restore the file from a copy" in caught.value.hint
    assert f"truncate --size=0 {two}" in caught.value.hint
    one.unlink()
    with pytest.raises(DamagedFileError, match="that has this offset is missing") as caught:
        entries(tmp_path)
    assert "bring the folder of journals back" in caught.value.hint


def test_a_journal_that_is_gone_is_not_an_empty_one(tmp_path: Path) -> None:
    with pytest.raises(DamagedFileError, match="missing"):
        entries(tmp_path)


def test_a_position_within_an_entry_is_damage(tmp_path: Path) -> None:
    offsets = write(tmp_path, b"aaa", b"bbb")
    with pytest.raises(DamagedFileError):
        entries(tmp_path, offsets[0] + 1)


@pytest.mark.parametrize(
    ("sync", "at_append", "at_sync"), [("os", 0, 0), ("batch", 0, 1), ("always", 2, 0)]
)
def test_entries_are_made_durable_when_it_was_chosen(
    sync: JournalSync,
    at_append: int,
    at_sync: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[int] = []
    writer = writer_in(tmp_path, sync)
    monkeypatch.setattr(os, "fdatasync", calls.append)
    writer.append(0, 1, b"a")
    writer.append(0, 1, b"b")
    assert len(calls) == at_append
    writer.sync()
    writer.sync()
    assert len(calls) == at_append + at_sync
    writer.close()
    assert len(calls) == at_append + at_sync


def test_a_segment_is_durable_before_the_next_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = writer_in(tmp_path, "batch")
    calls: list[int] = []
    monkeypatch.setattr(os, "fdatasync", calls.append)
    while len(files_of(tmp_path)) == 1:
        assert calls == []
        writer.append(0, 1, b"x" * 50)
    assert len(calls) == 1
    writer.close()


def test_a_journal_that_is_there_is_not_written_by_a_second_run(tmp_path: Path) -> None:
    write(tmp_path, *[b"x" * 80] * 8)
    files_of(tmp_path)[0].unlink()  # cut meanwhile
    with pytest.raises(StoreError, match="is there already") as caught:
        writer_in(tmp_path)
    assert "run only one at a time" in caught.value.hint


def test_an_entry_that_found_no_room_leaves_no_trace(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)
    writer.append(0, 1, b"before")
    with full_from(100), pytest.raises(StoreError, match="cannot write to the journal"):
        writer.append(0, 1, b"x" * 100)
    assert [entry.frames for entry in entries(tmp_path)] == [b"before"]
    writer.append(0, 1, b"after")
    assert [entry.frames for entry in entries(tmp_path)] == [b"before", b"after"]


def test_what_could_not_be_taken_back_is_before_the_next_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = writer_in(tmp_path)
    writer.append(0, 1, b"before")

    def ftruncate(*_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with full_from(100), monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", ftruncate)
        for _ in range(2):
            with pytest.raises(StoreError):
                writer.append(0, 1, b"x" * 100)
    reader = JournalReader(tmp_path, JournalPosition(NAME, 0, {}))
    assert [entry.frames for entry in reader] == [b"before"]
    assert reader.torn_bytes == 100 - writer.offset
    writer.append(0, 1, b"after")
    assert [entry.frames for entry in entries(tmp_path)] == [b"before", b"after"]


def test_a_segment_that_could_not_be_begun_is_tried_again(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)
    for _ in range(3):
        writer.append(0, 1, b"x" * 70)
    with full_from(5), pytest.raises(StoreError):
        writer.append(0, 1, b"y")
    assert len(files_of(tmp_path)) == 1
    writer.append(0, 1, b"y")
    assert [entry.frames[:1] for entry in entries(tmp_path)] == [b"x", b"x", b"x", b"y"]
    assert len(files_of(tmp_path)) == 2


@pytest.mark.parametrize("sync", ["batch", "always"])
def test_once_data_could_not_be_made_durable_nothing_is_taken_any_more(
    sync: JournalSync, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux reports such an error once, and forgets the data: a second fsync says all is well."""
    writer = writer_in(tmp_path, sync)

    def fdatasync(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", fdatasync)
        with pytest.raises(StoreError, match="durable: Input/output error"):
            writer.append(0, 1, b"a")
            writer.sync()
    with pytest.raises(StoreError, match="durable"):
        writer.append(0, 1, b"b")
    writer.close()


def test_a_folder_that_is_not_ours_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot make the journal .*Not a directory"):
        writer_in(tmp_path / "file")


def test_a_closed_journal_takes_nothing(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)
    writer.close()
    writer.close()
    with pytest.raises(ValueError, match="closed"):
        writer.append(0, 1, b"")


def test_a_cut_frees_segments_and_what_is_left_can_be_read(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)
    offsets = [writer.append(0, 1, b"x" * 80) for _ in range(12)]
    count = len(files_of(tmp_path))
    assert writer.cut(JournalPosition(NAME, offsets[5], {})) > 0
    assert len(files_of(tmp_path)) < count
    assert [entry.offset for entry in entries(tmp_path, offsets[5])] == offsets[5:]
    offsets.append(writer.append(0, 1, b"more"))
    assert writer.cut(JournalPosition(NAME, writer.offset, {})) > 0
    assert entries(tmp_path, writer.offset) == []
    assert len(files_of(tmp_path)) == 1


def test_a_journal_that_nothing_needs_goes_whole(tmp_path: Path) -> None:
    write(tmp_path, *[b"x" * 80] * 8)
    count = len(files_of(tmp_path))
    assert cut_journal(tmp_path, NAME, None) == count
    assert list_journals(tmp_path) == []
    assert cut_journal(tmp_path, NAME, None) == 0


def test_journals_are_listed_with_their_sizes_and_other_files_are_not(tmp_path: Path) -> None:
    assert list_journals(tmp_path / "none") == []
    for worker, epoch in (("w2", 1), ("w1", 12), ("w1", 3)):
        journal = JournalWriter(tmp_path, worker, epoch, "os")
        journal.append(0, 1, b"abc")
        journal.close()
    (tmp_path / "notes").mkdir()
    (tmp_path / "w9-0000000001").write_text("a file")
    found = list_journals(tmp_path)
    assert [(one.worker, one.epoch) for one in found] == [("w1", 3), ("w1", 12), ("w2", 1)]
    size = HEADER_BYTES + BLOCK_HEAD_BYTES + ENTRY_HEAD_BYTES + 3
    assert [(one.segments, one.byte_count) for one in found] == [((0,), size)] * 3
    assert segment_name(0) == "0000000000000000"


def test_journals_are_listed_while_another_process_cuts_them(tmp_path: Path) -> None:
    is_over = threading.Event()

    def come_and_go() -> None:
        while not is_over.is_set():
            write(tmp_path, b"x" * 300)
            cut_journal(tmp_path, NAME, None)

    other = threading.Thread(target=come_and_go)
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    other.start()
    try:
        for _ in range(2000):
            assert {journal.name for journal in list_journals(tmp_path)} <= {NAME}
    finally:
        sys.setswitchinterval(interval_s)
        is_over.set()
        other.join()


def test_reading_holds_little_more_than_an_entry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_files, "_READ_BYTES", 1 << 14)
    writer = writer_in(tmp_path, segment_bytes=8 << 20)
    for _ in range(1000):
        writer.append(0, 1, bytes(4096))
    writer.close()
    tracemalloc.start()
    count = sum(1 for _ in JournalReader(tmp_path, JournalPosition(NAME, 0, {})))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 1000
    assert peak < 300_000


def test_frames_are_taken_from_any_buffer(tmp_path: Path) -> None:
    writer = writer_in(tmp_path)
    buffers: list[Buffer] = [b"abc", bytearray(b"abc"), memoryview(b"xabc")[1:]]
    for frames in buffers:
        writer.append(0, 1, frames)
    assert [entry.frames for entry in entries(tmp_path)] == [b"abc"] * 3
