"""Frames from bytes: for every split, every length and every sender."""

import struct
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.codec import framing
from wallaroo.codec.framing import LengthFramer
from wallaroo.errors import FramingError

PayloadLength = str | Callable[[bytes], int]


@pytest.fixture(params=["compiled", "Python"], autouse=True, scope="module")
def cutting(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run everything twice: with the compiled code, where it was built, and without it."""
    if request.param == "compiled" and not framing.is_compiled():
        pytest.skip("built without a compiler")
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "Python":
            patch.setattr(framing, "_compiled", None)
        yield


# Runs of equal lengths and lone ones, as real streams mix them.
runs = st.tuples(st.integers(0, 6), st.sampled_from([1, 1, 2, 3, 30, 33, 64, 65, 200]))
stretches = st.lists(runs, max_size=6)


def payloads_of(stretch: Iterable[tuple[int, int]]) -> list[bytes]:
    lengths = [length for length, count in stretch for _ in range(count)]
    return [bytes((number + at) % 256 for at in range(n)) for number, n in enumerate(lengths)]


def encode(payloads: Iterable[bytes], layout: str = ">I") -> bytes:
    return b"".join(struct.pack(layout, len(payload)) + payload for payload in payloads)


def in_pieces(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[begin:end] for begin, end in pairwise(edges)]


def framer(payload_length: PayloadLength = ">I", frame_bytes_max: int = 1000) -> LengthFramer:
    return LengthFramer(4, payload_length, frame_bytes_max)


def big_endian(header: bytes) -> int:
    return int.from_bytes(header, "big")


def error_of(connection: LengthFramer) -> FramingError:
    assert connection.error is not None
    return connection.error


@given(
    stretches,
    st.lists(st.integers(min_value=0), max_size=8),
    st.sampled_from([">I", "<I", "=I", ">i", big_endian]),
)
def test_any_split_of_the_bytes_gives_the_same_frames(
    stretch: list[tuple[int, int]], cuts: list[int], payload_length: PayloadLength
) -> None:
    payloads = payloads_of(stretch)
    layout = payload_length if isinstance(payload_length, str) else ">I"
    connection = framer(payload_length)
    received: list[bytes] = []
    for piece in in_pieces(encode(payloads, layout), cuts):
        received += connection.receive_data(piece)
    assert received == payloads
    assert all(type(payload) is bytes for payload in received)
    assert connection.buffered_bytes == connection.receive_eof() == 0
    assert connection.error is None


def test_one_byte_at_a_time_gives_the_same_frames() -> None:
    payloads = [b"abc", b"", b"", b"x" * 40, b"abc"]
    connection = framer()
    data = encode(payloads)
    pieces = [connection.receive_data(data[at : at + 1]) for at in range(len(data))]
    assert [payload for piece in pieces for payload in piece] == payloads
    assert connection.receive_data(b"") == []


@pytest.mark.parametrize(
    ("header_length", "layout"),
    [(1, "B"), (1, "b"), (2, ">H"), (2, "<h"), (4, "=L"), (8, ">Q"), (8, "<q"), (5, ">xI")],
)
def test_any_format_of_one_integer_is_a_header(header_length: int, layout: str) -> None:
    payloads = payloads_of([(3, 2), (5, 100), (0, 50), (7, 1), (3, 70)])
    connection = LengthFramer(header_length, layout, 1000)
    assert connection.receive_data(encode(payloads, layout)) == payloads


def test_a_function_reads_headers_that_no_format_describes() -> None:
    payloads = payloads_of([(3, 2), (5, 100), (0, 50), (7, 1)])
    data = b"".join(len(payload).to_bytes(3, "little") + payload for payload in payloads)
    connection = LengthFramer(3, lambda header: int.from_bytes(header, "little"), 1000)
    assert connection.receive_data(data[:100]) + connection.receive_data(data[100:]) == payloads


def test_the_header_of_a_run_decides_not_its_payload() -> None:
    payloads = [bytes(4)] * 100 + [b"\x00\x00\x00\x05"] * 100 + [bytes(5)] * 100
    assert framer().receive_data(encode(payloads)) == payloads


def test_a_cut_off_frame_is_counted_at_the_end() -> None:
    connection = framer()
    assert connection.receive_data(encode([b"abc", b"defg"])[:-1]) == [b"abc"]
    assert connection.buffered_bytes == connection.receive_eof() == 7
    assert connection.receive_data(b"g\x00") == [b"defg"]
    assert connection.receive_eof() == 1


@pytest.mark.parametrize(
    ("header_length", "layout", "payload_length"),
    [(1, "B", "B"), (2, "<H", "<H"), (4, ">I", ">I"), (8, ">Q", ">Q"), (4, ">I", big_endian)],
)
def test_what_one_keeps_of_a_frame_another_goes_on_with(
    header_length: int, layout: str, payload_length: PayloadLength
) -> None:
    payloads = [b"one", b"", bytes(200), b"", b"two"]
    data = encode(payloads, layout)
    for cut in range(len(data) + 1):
        first, second = (LengthFramer(header_length, payload_length, 1000) for _ in range(2))
        whole = first.receive_data(data[:cut])
        assert second.receive_data(first.rest) == []
        assert whole + second.receive_data(data[cut:]) == payloads
        assert second.receive_eof() == 0


def test_a_frame_may_be_as_long_as_the_limit_and_no_longer() -> None:
    connection = framer(frame_bytes_max=10)
    assert connection.receive_data(encode([bytes(10)])) == [bytes(10)]
    assert connection.receive_data(encode([bytes(11)])) == []
    assert str(connection.error) == (
        "the header at byte 14 of the stream, 00 00 00 0b, tells a payload of 11 bytes, "
        "more than the 10 allowed"
    )
    assert error_of(connection).hint


def test_too_long_a_frame_is_refused_before_its_payload_is_kept() -> None:
    connection = framer(frame_bytes_max=10)
    assert connection.receive_data(b"\x7f\xff\xff") == []
    assert connection.receive_data(b"\xff") == []
    assert connection.error is not None
    assert connection.buffered_bytes == 0


@given(stretches, st.lists(st.integers(min_value=0), max_size=5))
def test_frames_before_a_broken_header_are_not_lost(
    stretch: list[tuple[int, int]], cuts: list[int]
) -> None:
    payloads = payloads_of(stretch)
    sound = encode(payloads)
    connection = framer(">i")
    received: list[bytes] = []
    for piece in in_pieces(sound + b"\xff\xff\xff\xfe" + b"rest", cuts):
        received += connection.receive_data(piece)
    assert received == payloads
    assert str(connection.error) == (
        f"the header at byte {len(sound)} of the stream, ff ff ff fe, tells a payload of -2 bytes"
    )
    assert connection.receive_data(encode([b"late"])) == []
    assert connection.buffered_bytes == connection.receive_eof() == 0


def test_a_function_that_fails_is_named_with_its_cause() -> None:
    def payload_length(header: bytes) -> int:
        return {b"\x00\x00\x00\x01": 1}[header]

    connection = framer(payload_length)
    assert connection.receive_data(encode([b"a", b"bc"])) == [b"a"]
    assert str(connection.error).startswith(
        "the header at byte 5 of the stream, 00 00 00 02, made payload_length fail: KeyError: "
    )
    assert isinstance(error_of(connection).__cause__, KeyError)


@pytest.mark.parametrize("length", [None, 1.0, "1", b"\x01", True])
def test_a_function_must_return_an_int(length: object) -> None:
    connection = framer(lambda _: length)  # type: ignore[arg-type,return-value]  # on purpose
    assert connection.receive_data(encode([b"a"])) == []
    name = type(length).__name__
    assert f"made payload_length return a {name}, not an int" in str(connection.error)


@pytest.mark.parametrize(
    ("header_length", "layout", "complaint"),
    [
        (0, "", "at least 1 byte"),
        (4, "", "must be one integer of 4 bytes"),
        (4, ">H", "must be one integer of 4 bytes"),
        (4, ">HH", "it is 2 values of 4 bytes"),
        (4, ">f", "must be one integer"),
        (4, "4s", "must be one integer"),
        (1, "?", "must be one integer"),
        (4, "nonsense", "not a struct format"),
        (4, "I\u20ac", "not a struct format"),
    ],
)
def test_a_format_that_is_not_an_integer_is_refused(
    header_length: int, layout: str, complaint: str
) -> None:
    with pytest.raises(ValueError, match=complaint):
        LengthFramer(header_length, layout, 1000)


def test_a_large_frame_in_small_pieces_is_put_together_once() -> None:
    payload = bytes(range(256)) * 4096 * 16
    data = encode([payload, b"next"])
    connection = framer(frame_bytes_max=len(payload))
    received: list[bytes] = []
    for at in range(0, len(data), 1024):
        assert connection.buffered_bytes == (at if at <= len(payload) + 4 else 0)
        received += connection.receive_data(data[at : at + 1024])
    assert received == [payload, b"next"]
