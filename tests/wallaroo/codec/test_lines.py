"""Lines out of bytes, however they are split."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.codec.lines import LineFramer

MAX = 1 << 20


def lines_of(*pieces: bytes, line_bytes_max: int = MAX) -> list[bytes]:
    framer = LineFramer(line_bytes_max)
    lines = [line for piece in pieces for line in framer.receive_data(piece)]
    lines += framer.receive_eof()
    assert framer.error is None
    return lines


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"", []),
        (b"\n", [b""]),
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\nb", [b"a", b"b"]),
        (b"a\r\nb\r\n", [b"a", b"b"]),
        (b"a\r\nb\n\r\n", [b"a", b"b", b""]),
        (b"\n\na\n\n", [b"", b"", b"a", b""]),
        (b"a\rb\n", [b"a\rb"]),
        (b"a\r\r\n", [b"a\r"]),
        (b"a\r", [b"a\r"]),
        (b"\r\n", [b""]),
    ],
)
def test_lines_come_without_their_ends(data: bytes, lines: list[bytes]) -> None:
    assert lines_of(data) == lines
    for cut in range(len(data)):
        assert lines_of(data[:cut], data[cut:]) == lines
    assert lines_of(*(bytes((byte,)) for byte in data)) == lines


@given(st.lists(st.text("ab\r\n", max_size=8).map(str.encode), max_size=6))
def test_any_split_gives_the_lines_of_the_whole(pieces: list[bytes]) -> None:
    assert lines_of(*pieces) == lines_of(b"".join(pieces))


def test_the_offset_is_that_of_the_unfinished_line() -> None:
    framer = LineFramer(MAX, offset=100)
    assert framer.rest_offset == 100
    framer.receive_data(b"ab")
    assert framer.rest_offset == 100
    framer.receive_data(b"c\r\nd\nef")
    assert framer.rest_offset == 107
    framer.receive_eof()
    assert framer.rest_offset == 109


def test_a_line_may_be_as_long_as_allowed() -> None:
    for end in (b"", b"\n", b"\r\n"):
        data = b"12345" + end
        assert lines_of(data, line_bytes_max=5) == [b"12345"]
        assert lines_of(data[:-1], data[-1:], line_bytes_max=5) == [b"12345"]


@pytest.mark.parametrize("piece_bytes", [1, 2, 5, 100])
@pytest.mark.parametrize("end", [b"", b"\nafter\n"])
def test_a_longer_line_is_refused_with_its_offset(piece_bytes: int, end: bytes) -> None:
    data = b"a\r\nbc\n123456" + end
    framer = LineFramer(5, offset=10)
    lines = []
    for at in range(0, len(data), piece_bytes):
        lines += framer.receive_data(data[at : at + piece_bytes])
    lines += framer.receive_eof()
    assert lines == [b"a", b"bc"]
    assert framer.error is not None
    assert framer.error.what == (
        "the line at byte 16 of the stream is longer than the 5 bytes allowed"
    )
    assert framer.rest_offset == 16
    assert framer.receive_data(b"more\n") == []
    assert framer.receive_eof() == []


def test_a_line_without_an_end_is_not_kept_beyond_what_is_allowed() -> None:
    framer = LineFramer(1000)
    for _ in range(11):
        framer.receive_data(b"x" * 100)
    assert framer.error is not None


@given(st.binary(max_size=200), st.lists(st.integers(0, 200)))
def test_whole_lines_are_kept_as_they_arrived_and_give_the_same_lines_again(
    data: bytes, cuts: list[int]
) -> None:
    framer = LineFramer(MAX)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    lines: list[bytes] = []
    kept = b""
    for begin, end in itertools.pairwise(edges):
        lines += framer.receive_data(data[begin:end])
        kept += framer.frames
    assert kept + framer.rest == data
    assert framer.buffered_bytes == len(framer.rest)
    again = LineFramer(MAX)
    assert again.receive_data(kept) == lines
    assert again.buffered_bytes == 0


def test_lines_before_one_that_is_too_long_are_kept_without_it() -> None:
    framer = LineFramer(4)
    assert framer.receive_data(b"a\r\nbc\nlonger\nd\n") == [b"a", b"bc"]
    assert framer.frames == b"a\r\nbc\n"
    assert framer.receive_data(b"e\n") == []
    assert framer.frames == b""


def test_the_end_of_a_line_ends_the_last_line_of_a_stream() -> None:
    framer = LineFramer(MAX)
    framer.receive_data(b"a\nlast\r")
    assert framer.receive_data(framer.end_at_eof) == [b"last"]
    assert framer.frames == b"last\r\n"
