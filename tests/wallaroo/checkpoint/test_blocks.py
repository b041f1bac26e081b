"""Blocks: there and back in any pieces; torn, damaged and foreign files told apart."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.checkpoint.blocks import (
    BLOCK_HEAD_BYTES,
    BODY_BYTES_MAX,
    HEADER_BYTES,
    MAGIC,
    Block,
    BlockReader,
    FileKind,
    encode_block,
    encode_block_head,
    encode_header,
    read_blocks,
)
from wallaroo.errors import DamagedFileError

bodies = st.lists(st.binary(max_size=40), max_size=6)


def file_of(*contents: bytes, kind: FileKind = FileKind.PART) -> bytes:
    return encode_header(kind) + b"".join(map(encode_block, contents))


def read(data: bytes) -> list[bytes]:
    return [block.body for block in read_blocks(data, FileKind.PART, "f")]


@given(bodies)
def test_blocks_come_back_in_order_with_their_offsets(contents: list[bytes]) -> None:
    data = file_of(*contents)
    blocks = list(read_blocks(data, FileKind.PART, "f"))
    assert [block.body for block in blocks] == contents
    for block in blocks:
        end = block.offset + BLOCK_HEAD_BYTES + len(block.body)
        assert data[block.offset : end] == encode_block(block.body)


@given(bodies, st.lists(st.integers(0, 200), max_size=5))
def test_any_split_of_the_bytes_gives_the_same_blocks(
    contents: list[bytes], cuts: list[int]
) -> None:
    data = file_of(*contents)[HEADER_BYTES:]
    reader = BlockReader("f", HEADER_BYTES)
    found: list[Block] = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for begin, end in pairwise(edges):
        found += reader.receive_data(data[begin:end])
    assert found == list(read_blocks(file_of(*contents), FileKind.PART, "f"))
    assert reader.tail_bytes == 0


@given(bodies.filter(bool), st.data())
def test_a_file_cut_short_has_its_whole_blocks_and_a_torn_tail(
    contents: list[bytes], draw: st.DataObject
) -> None:
    data = file_of(*contents)
    end = draw.draw(st.integers(HEADER_BYTES, len(data) - 1))
    reader = BlockReader("f", HEADER_BYTES)
    whole = [block.body for block in reader.receive_data(data[HEADER_BYTES:end])]
    assert whole == contents[: len(whole)]
    assert reader.offset + reader.tail_bytes == end
    if reader.tail_bytes:
        with pytest.raises(DamagedFileError, match="ends within a block") as caught:
            read(data[:end])
        assert caught.value.offset == reader.offset


@given(bodies.filter(bool), st.data())
def test_no_changed_bit_goes_unseen(contents: list[bytes], draw: st.DataObject) -> None:
    data = bytearray(file_of(*contents))
    bit = draw.draw(st.integers(0, 8 * len(data) - 1))
    data[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DamagedFileError) as caught:
        read(bytes(data))
    assert caught.value.file == "f"
    assert caught.value.offset <= bit // 8
    assert caught.value.hint


@given(bodies.filter(bool), st.data())
def test_a_changed_length_is_never_taken_for_a_torn_tail(
    contents: list[bytes], draw: st.DataObject
) -> None:
    """Otherwise all that stands behind it would be lost without a word."""
    data = bytearray(file_of(*contents)[HEADER_BYTES:])
    data[draw.draw(st.integers(0, 7))] ^= draw.draw(st.integers(1, 255))
    reader = BlockReader("f", HEADER_BYTES)
    with pytest.raises(DamagedFileError, match="length of a block"):
        list(reader.receive_data(bytes(data)))


def test_zeros_at_the_end_are_a_file_that_was_lengthened_and_not_written() -> None:
    reader = BlockReader("f", HEADER_BYTES)
    data = file_of(b"whole")[HEADER_BYTES:] + bytes(100)
    assert [block.body for block in reader.receive_data(data)] == [b"whole"]
    assert reader.tail_bytes == 100


def test_zeros_before_something_are_damage() -> None:
    with pytest.raises(DamagedFileError, match="length of a block"):
        read(file_of(b"whole") + bytes(100) + encode_block(b"more"))


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "0 bytes, fewer than a header"),
        (b"%PDF-1.7 and so on", "not a file of wallaroo"),
        (MAGIC + b"\x02\x02", "format version 2; this release reads version 1"),
        (file_of(kind=FileKind.JOURNAL), "of kind 3, not a part"),
    ],
)
def test_a_foreign_file_is_refused_by_what_it_is(data: bytes, problem: str) -> None:
    with pytest.raises(DamagedFileError, match=problem) as caught:
        read(data)
    assert caught.value.hint


def test_the_head_of_a_body_in_pieces_is_that_of_the_whole() -> None:
    assert encode_block_head(b"ab", memoryview(b"cd")) + b"abcd" == encode_block(b"abcd")


class Huge(bytes):
    def __len__(self) -> int:
        return BODY_BYTES_MAX + 1


def test_a_body_that_no_reader_would_take_is_not_written() -> None:
    with pytest.raises(ValueError, match="longer than"):
        encode_block_head(Huge())


def test_what_was_yielded_before_a_reader_is_left_is_not_yielded_again() -> None:
    reader = BlockReader("f", HEADER_BYTES)
    data = file_of(b"a", b"b")[HEADER_BYTES:]
    for block in reader.receive_data(data):
        assert block.body == b"a"
        break
    assert [block.body for block in reader.receive_data(b"")] == [b"b"]
