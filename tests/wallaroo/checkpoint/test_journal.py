"""Journals: entries there and back, names, what a cut may take, where replay begins."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.checkpoint.blocks import HEADER_BYTES, FileKind, encode_block, read_blocks
from wallaroo.checkpoint.journal import (
    SEGMENT_HEADER,
    Entry,
    EntryOrigin,
    covered_segments,
    cut_offset,
    decode_entry,
    encode_entry_head,
    journal_name,
    parse_journal_name,
    parse_segment_name,
    replay_position,
    segment_name,
)
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.errors import DamagedFileError

Written = tuple[int, int, bytes, EntryOrigin | None]

origins = st.builds(EntryOrigin, st.integers(0, 2**32 - 1), st.integers(-(2**63), 2**63 - 1))
entries = st.lists(
    st.tuples(
        st.integers(0, 2**15 - 1),
        st.integers(1, 2**32 - 1),
        st.binary(max_size=30),
        st.none() | origins,
    )
)


@given(entries, st.integers(0, 2**40))
def test_entries_come_back_with_their_offsets_in_the_journal(
    written: list[Written], first: int
) -> None:
    data, expected = SEGMENT_HEADER, []
    for pipeline, record_count, frames, origin in written:
        entry = Entry(first + len(data), pipeline, record_count, frames, 0, origin)
        head = encode_entry_head(pipeline, record_count, origin)
        assert len(head) == entry.head_bytes
        expected.append(entry)
        data += encode_block(head + frames)
    blocks = read_blocks(data, FileKind.JOURNAL, "j")
    assert [decode_entry(block, first, "j") for block in blocks] == expected


def test_an_entry_without_an_origin_is_as_it_was_before_there_were_any() -> None:
    assert encode_entry_head(3, 5) == b"\x00\x03\x00\x00\x00\x05"


def test_a_block_that_is_not_an_entry_is_damage() -> None:
    (block,) = read_blocks(SEGMENT_HEADER + encode_block(b"abc"), FileKind.JOURNAL, "j")
    with pytest.raises(DamagedFileError, match=f"j, byte {HEADER_BYTES}: a block is not an entry"):
        decode_entry(block, 0, "j")


@pytest.mark.parametrize("worker", ["w1", "a-b", "w-0000000001", "é"])
def test_names_of_journals_come_back(worker: str) -> None:
    for epoch in (0, 7, 10**10):
        assert parse_journal_name(journal_name(worker, epoch)) == (worker, epoch)


@pytest.mark.parametrize("name", ["", "w1", "w1-1", "-0000000001", "w1-00000000x1", "w1-"])
def test_other_names_are_no_journals(name: str) -> None:
    assert parse_journal_name(name) is None


def test_names_of_segments_come_back_and_sort() -> None:
    firsts = [0, 9, 10, 2**50]
    assert [parse_segment_name(segment_name(first)) for first in firsts] == firsts
    assert sorted(map(segment_name, firsts)) == [segment_name(first) for first in firsts]
    assert parse_segment_name("notes.txt") is None


@pytest.mark.parametrize(
    ("offset", "covered"),
    [(0, []), (99, []), (100, [0]), (199, [0]), (200, [0, 100]), (9999, [0, 100])],
)
def test_a_cut_takes_whole_segments_and_never_the_last(offset: int, covered: list[int]) -> None:
    assert covered_segments([0, 100, 200], offset) == covered
    assert covered_segments([], offset) == []


def at(journal: str, offset: int) -> JournalPosition:
    return JournalPosition(journal, offset, {})


OLD, MIDDLE, NEW = (journal_name("w1", epoch) for epoch in (1, 2, 3))


def test_a_journal_is_replayed_from_where_the_manifest_says() -> None:
    position = JournalPosition(MIDDLE, 50, {60: 2})
    assert replay_position(MIDDLE, [at(OLD, 9), position]) == position


def test_a_journal_newer_than_the_checkpoint_is_replayed_whole() -> None:
    assert replay_position(NEW, [at(OLD, 9), at(MIDDLE, 50)]) == at(NEW, 0)
    assert replay_position(OLD, []) == at(OLD, 0)


def test_a_journal_that_an_older_epoch_processed_whole_is_not_replayed() -> None:
    assert replay_position(OLD, [at(MIDDLE, 50)]) is None
    assert replay_position(journal_name("w9", 1), [at(MIDDLE, 50)]) is None


@pytest.mark.parametrize(
    ("retained", "offset"),
    [
        ([], 0),
        ([[at(MIDDLE, 70)]], 70),
        ([[at(MIDDLE, 70)], [at(MIDDLE, 30)]], 30),
        ([[at(MIDDLE, 70)], [at(OLD, 5)]], 0),
        ([[at(NEW, 5)], [at(MIDDLE, 30)]], 30),
        ([[at(NEW, 5)], [at(NEW, 7)]], None),
    ],
)
def test_a_journal_is_cut_where_the_oldest_retained_checkpoint_needs_it(
    retained: list[list[JournalPosition]], offset: int | None
) -> None:
    assert cut_offset(MIDDLE, retained) == offset


def test_a_name_that_is_not_a_journals_is_a_mistake_here() -> None:
    with pytest.raises(ValueError, match="not the name of a journal"):
        replay_position("nonsense", [])
