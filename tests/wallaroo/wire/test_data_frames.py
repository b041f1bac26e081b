"""Data frames as bytes: each comes back, and nothing else than a frame or an error does."""

from typing import Any, get_args

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.errors import ProtocolError
from wallaroo.names import CheckpointId, EdgeId, Epoch, WorkerName
from wallaroo.wire.data_frames import (
    Ack,
    Barrier,
    BatchFrame,
    ClockFrame,
    DataFrame,
    LinkHello,
    LinkWelcome,
    MovedAll,
    MovedStates,
    Pressure,
    decode_data_frame,
    encode_data_frame,
)

U8, U32, U64 = 2**8 - 1, 2**32 - 1, 2**64 - 1
FRAMES: list[DataFrame] = [
    LinkHello(WorkerName("w1"), Epoch(1), WorkerName("w\u00e9"), Epoch(2**40)),
    LinkWelcome(U64, True),
    LinkWelcome(0, False),
    BatchFrame(U64, EdgeId(U32), U8, U32, b"\x00body"),
    BatchFrame(1, EdgeId(0), 1, 0, b""),
    Barrier(U64, Epoch(U64), CheckpointId(U64), EdgeId(U32)),
    Ack(U64),
    Ack(0),
    Pressure(True),
    Pressure(False),
    MovedStates(U64, U64, U32, b"\x00body"),
    MovedStates(1, 0, 0, b""),
    MovedAll(U64, U64, U64),
    ClockFrame(U64, EdgeId(U32), 2**63 - 1, 2),
    ClockFrame(1, EdgeId(0), -(2**63), 0),
]


def content_of(frame: DataFrame) -> bytes:
    """Return the frame without its length, which is checked."""
    encoded = encode_data_frame(frame)
    assert int.from_bytes(encoded[:4], "big") == len(encoded) - 4
    return encoded[4:]


def test_every_kind_of_frame_is_tried_here() -> None:
    assert {type(frame) for frame in FRAMES} == {*get_args(DataFrame)}


@pytest.mark.parametrize("frame", FRAMES, ids=repr)
def test_a_frame_comes_back(frame: DataFrame) -> None:
    assert decode_data_frame(content_of(frame)) == frame


@pytest.mark.parametrize("frame", FRAMES, ids=repr)
def test_a_frame_cut_short_is_an_error_or_a_batch_with_less_in_it(frame: DataFrame) -> None:
    content = content_of(frame)
    body_bytes = len(frame.body) if isinstance(frame, BatchFrame | MovedStates) else 0
    for end in range(len(content) - body_bytes):
        with pytest.raises(ProtocolError, match=f"of {end} bytes cannot be read"):
            decode_data_frame(content[:end])


@pytest.mark.parametrize("frame", FRAMES, ids=repr)
def test_bytes_behind_a_frame_are_an_error_unless_it_has_a_body(frame: DataFrame) -> None:
    if isinstance(frame, BatchFrame | MovedStates):
        return
    with pytest.raises(ProtocolError, match="cannot be read"):
        decode_data_frame(content_of(frame) + b"\x00")


@pytest.mark.parametrize("tag", [0, *range(10, 256)])
def test_an_unknown_tag_is_an_error_that_tells_it(tag: int) -> None:
    with pytest.raises(ProtocolError, match=f"no frame has tag {tag}\\n"):
        decode_data_frame(bytes((tag,)) + b"rest")


@pytest.mark.parametrize(
    "values",
    [
        [],
        ["w1", 1, "w2"],
        ["w1", 1, "w2", 2, 3],
        [1, 1, "w2", 2],
        [b"w1", 1, "w2", 2],
        ["w1", 1, None, 2],
        ["w1", "1", "w2", 2],
        ["w1", 1, "w2", 2.0],
        {"w1": 1},
        7,
        None,
        "wxyz",
    ],
    ids=repr,
)
def test_a_hello_is_two_names_and_two_numbers(values: Any) -> None:
    with pytest.raises(ProtocolError, match="cannot be read"):
        decode_data_frame(b"\x01" + msgpack.packb(values))


@given(st.binary(max_size=60))
def test_any_bytes_are_a_frame_or_an_error(content: bytes) -> None:
    try:
        frame = decode_data_frame(content)
    except ProtocolError:
        return
    assert decode_data_frame(content_of(frame)) == frame


@given(st.integers(1, 6), st.binary(max_size=40))
def test_any_bytes_behind_a_tag_are_a_frame_or_an_error(tag: int, rest: bytes) -> None:
    try:
        frame = decode_data_frame(bytes((tag,)) + rest)
    except ProtocolError:
        return
    assert decode_data_frame(content_of(frame)) == frame


@pytest.mark.parametrize("depth", [900, 1020, 100_000])
def test_the_deepest_nesting_is_an_error_of_a_few_words(depth: int) -> None:
    for inside in (b"\x01", b"\x01\x01"):
        with pytest.raises(ProtocolError) as raised:
            decode_data_frame(b"\x01" + b"\x91" * depth + inside)
        assert len(str(raised.value)) < 300


def test_the_layout_on_the_wire_stays() -> None:
    frame = BatchFrame(2, EdgeId(3), 1, 4, b"body", 5)
    assert encode_data_frame(frame).hex(" ", 1) == (
        "00 00 00 1e 03 00 00 00 00 00 00 00 02 00 00 00 03 01 00 00 00 04 "
        "00 00 00 00 00 00 00 05 62 6f 64 79"
    )
    assert encode_data_frame(Ack(5)).hex() == "00000009050000000000000005"


def test_clocks_travel_behind_the_keys_that_move() -> None:
    frame = MovedAll(1, 2, 3, {"counts": (-(1 << 63), (1 << 63) - 1), "\ud800": (5, 3)})
    content = encode_data_frame(frame)[4:]
    assert decode_data_frame(content) == frame
    with pytest.raises(ProtocolError, match="cannot be read"):
        decode_data_frame(content[:-1])
    with pytest.raises(ProtocolError, match="clocks must be numbers by name"):
        decode_data_frame(
            encode_data_frame(MovedAll(1, 2, 3))[4:] + bytes.fromhex("81a16192a16102")
        )


def test_a_clock_with_an_unknown_status_is_an_error() -> None:
    with pytest.raises(ProtocolError, match="no clock has status 3"):
        decode_data_frame(content_of(ClockFrame(1, EdgeId(0), 0, 3)))
