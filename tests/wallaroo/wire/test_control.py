"""Control frames as bytes: each comes back, and nothing else than a frame or an error does."""

from dataclasses import fields
from typing import Any, get_args

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.errors import ProtocolError
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.wire.agents import (
    Accepted,
    Beat,
    Dismissed,
    EndProcess,
    Offer,
    Prepared,
    ProcessEnded,
    ProcessStarted,
    StartProcess,
    Withdraw,
)
from wallaroo.wire.control import (
    TYPE_OF_TAG,
    Abandon,
    Assign,
    CallOff,
    Checkpoint,
    Committed,
    ControlFrame,
    Counted,
    Delivered,
    Drain,
    Drained,
    Emptied,
    Empty,
    Failed,
    Gather,
    Gathered,
    GivenBack,
    Held,
    Hold,
    Join,
    Leave,
    Measured,
    Moved,
    NotMoved,
    NotSaved,
    Open,
    Opened,
    Pulse,
    Ready,
    Release,
    RequestStop,
    Rewind,
    Saved,
    SourcesEnded,
    Stop,
    decode_control_frame,
    encode_control_frame,
)
from wallaroo.wire.outbox import CutDelivered, DeliverCut
from wallaroo.wire.requests import NO_EPOCH, Answer, Progress, Query, Replied, Request
from wallaroo.wire.splits import Discovered, Splits, SplitsEnded, SplitsStarted

EPOCH = Epoch(7)
FRAMES: list[ControlFrame] = [
    Join(EPOCH, WorkerName("w1"), 4711, "127.0.0.1:7000", ["step a", "step b\u00e9"], "/tmp/x/w1"),
    Assign(
        EPOCH,
        [["w1", 1, "127.0.0.1:1"], ["w2", 7, "[::1]:2"]],
        [["state", 2, [b"sa"], ["w1"], [0, 0, 0]]],
        ["127.0.0.1:7010", ""],
        ["", "w2"],
        12,
        CheckpointId(4),
        2,
        [["w3", [["w3-0000000001", 10, {}]], {1: b"position"}, [[0, "staged", 5, 4]], {}]],
    ),
    Ready(EPOCH),
    Open(EPOCH),
    Opened(EPOCH),
    Drain(EPOCH, CheckpointId(3)),
    Drained(EPOCH, CheckpointId(3), Epoch(2), {"w1": {"p/source": [2**40, 2**40, 0, 0]}}),
    Stop(EPOCH),
    Failed(EPOCH, WorkerName("w1"), "what happened", "what to do", 2),
    RequestStop(EPOCH),
    Rewind(EPOCH),
    Checkpoint(EPOCH, CheckpointId(4)),
    Saved(EPOCH, CheckpointId(4), ["w1", [], {3: b"position"}]),
    NotSaved(EPOCH, CheckpointId(4), "no space left"),
    Committed(EPOCH, CheckpointId(4), 12, 9, False, [CheckpointId(3), CheckpointId(4)]),
    Abandon(EPOCH, CheckpointId(4)),
    SourcesEnded(EPOCH, [0, 2], ["the file was not read to its end"]),
    Pulse(EPOCH, WorkerName("w1")),
    Gather(
        EPOCH,
        2,
        [["w1", 1, "127.0.0.1:1"]],
        ["w1"],
        [["state", 1, [], ["w1"], [0]]],
        [[0, "w2", ["orders-0", "orders-7"]]],
    ),
    Gathered(EPOCH, 2),
    Empty(EPOCH, 2, ["/tmp/x/w2"]),
    Emptied(EPOCH, 2),
    Hold(EPOCH, 2, CheckpointId(5)),
    Held(EPOCH, 2, [], 250_000, [0, 3], {0: {"splits": {"orders-0": ["at", [40, 2]]}}}),
    Discovered(EPOCH, 0, ["orders-0", "orders-1"], True),
    Splits(EPOCH, 0, "at", ["orders-0", "orders-7"], [[40, 2], {1: b"position"}]),
    SplitsStarted(EPOCH, 0),
    SplitsEnded(EPOCH, 0, {"orders-0": "", "orders-1": "it is damaged"}),
    CutDelivered(EPOCH, CheckpointId(5)),
    DeliverCut(EPOCH, CheckpointId(6)),
    Delivered(EPOCH, 2, [3]),
    Release(EPOCH, 2, []),
    Moved(EPOCH, 2, 10**6, 2**40),
    NotMoved(EPOCH, 2, "it cannot be pickled"),
    CallOff(EPOCH, 2, "somebody was lost"),
    Leave(EPOCH, 2),
    Measured(EPOCH, WorkerName("w1"), {"process": {"paused": True}}),
    Counted(EPOCH, WorkerName("w1"), Epoch(2), {"w1": {"p/source": [3, 2, 1, 0]}, "w2": {}}),
    GivenBack(EPOCH, 2, b"rows"),
    Query(EPOCH, 3, "keys", '{"state":"counts"}'),
    Replied(EPOCH, 3, '{"keys":[]}', ""),
    Request(NO_EPOCH, 1, "get", '{"key":"a"}'),
    Progress(NO_EPOCH, 1, '{"event":"worker.joined"}'),
    Answer(NO_EPOCH, 1, "refused", "", "it is too late", "come earlier"),
    Offer(NO_EPOCH, WorkerName("w5"), "beta", "5ca1ab1e", ["step a"], 1, "rack 7"),
    Accepted(NO_EPOCH, "letters", 10_000, '{"debug": false}'),
    Prepared(NO_EPOCH, [["w5-0000000003", 4711]]),
    StartProcess(EPOCH, WorkerName("w5")),
    ProcessStarted(EPOCH, 4711),
    ProcessEnded(EPOCH, "the process ended with status 71", has_hung=True),
    EndProcess(EPOCH),
    Withdraw(NO_EPOCH),
    Dismissed(NO_EPOCH, "what happened", "what to do", again=True),
    Beat(NO_EPOCH),
]


def name_of(frame: object) -> str:
    return type(frame).__name__


def content_of(frame: ControlFrame) -> bytes:
    """Return the frame without its length, which is checked."""
    encoded = encode_control_frame(frame)
    assert int.from_bytes(encoded[:4], "big") == len(encoded) - 4
    return encoded[4:]


def test_every_kind_of_frame_is_tried_here() -> None:
    assert {type(frame) for frame in FRAMES} == {*get_args(ControlFrame)}


@pytest.mark.parametrize("frame", FRAMES, ids=name_of)
def test_a_frame_comes_back(frame: ControlFrame) -> None:
    assert decode_control_frame(content_of(frame)) == frame


@pytest.mark.parametrize("frame", FRAMES, ids=name_of)
def test_a_frame_cut_short_or_continued_is_an_error(frame: ControlFrame) -> None:
    content = content_of(frame)
    for end in range(len(content)):
        with pytest.raises(ProtocolError, match=f"of {end} bytes cannot be read"):
            decode_control_frame(content[:end])
    with pytest.raises(ProtocolError):
        decode_control_frame(content + b"\x00")


@pytest.mark.parametrize("frame", FRAMES, ids=name_of)
def test_a_field_too_many_or_too_few_is_an_error(frame: ControlFrame) -> None:
    values = msgpack.unpackb(content_of(frame), strict_map_key=False)
    for wrong in (values[:-1], [*values, 0]):
        with pytest.raises(ProtocolError):
            decode_control_frame(msgpack.packb(wrong))


@pytest.mark.parametrize("wrong", [None, True, 1.5, b"bytes", {}, [1]], ids=repr)
@pytest.mark.parametrize("frame", FRAMES, ids=name_of)
def test_a_field_of_another_type_is_an_error_that_names_it(frame: Any, wrong: Any) -> None:
    for position, field in enumerate(fields(frame), start=1):
        values = msgpack.unpackb(content_of(frame), strict_map_key=False)
        if type(values[position]) is type(wrong) and isinstance(wrong, list | dict | bool | bytes):
            continue
        values[position] = wrong
        with pytest.raises(ProtocolError, match=f"{field.name} must be"):
            decode_control_frame(msgpack.packb(values))


def test_lists_of_text_hold_nothing_else() -> None:
    values = msgpack.unpackb(content_of(FRAMES[0]))
    values[1 + [field.name for field in fields(Join)].index("outline")] = ["step", 1]
    with pytest.raises(ProtocolError, match="outline must hold text only"):
        decode_control_frame(msgpack.packb(values))


@pytest.mark.parametrize("content", [b"", b"\xc1", b"\xc0", b"\x90", b"\x80", b"\xa3abc", b"\x05"])
def test_content_that_is_not_a_list_is_an_error(content: bytes) -> None:
    with pytest.raises(ProtocolError, match="cannot be read") as raised:
        decode_control_frame(content)
    assert "same release" in raised.value.hint


@pytest.mark.parametrize("tag", [0, -1, 99, 2**63, "1", None, [], {}])
def test_an_unknown_tag_is_an_error(tag: Any) -> None:
    with pytest.raises(ProtocolError, match="cannot be read"):
        decode_control_frame(msgpack.packb([tag, 1]))


@pytest.mark.parametrize("depth", [100, 900, 1000, 1020, 1100, 100_000])
def test_the_deepest_nesting_is_an_error_of_a_few_words(depth: int) -> None:
    for inside in (b"\x01", b"\x01\x01"):
        with pytest.raises(ProtocolError) as raised:
            decode_control_frame(b"\x91" * depth + inside)
        assert len(str(raised.value)) < 300


@given(st.binary(max_size=80))
def test_any_bytes_are_a_frame_or_an_error(content: bytes) -> None:
    try:
        frame = decode_control_frame(content)
    except ProtocolError:
        return
    assert decode_control_frame(content_of(frame)) == frame


plain_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


@given(st.integers(0, 30), st.lists(plain_values, max_size=7))
def test_any_values_are_a_frame_or_an_error(tag: int, values: list[Any]) -> None:
    try:
        frame = decode_control_frame(msgpack.packb([tag, *values]))
    except ProtocolError:
        return
    assert [frame.tag, *(getattr(frame, f.name) for f in fields(frame))] == [tag, *values]


TAGS = {
    1: "Join",
    2: "Assign",
    3: "Ready",
    4: "Open",
    5: "Opened",
    6: "Drain",
    7: "Drained",
    8: "Stop",
    9: "Failed",
    10: "RequestStop",
    11: "Rewind",
    12: "Checkpoint",
    13: "Saved",
    14: "NotSaved",
    15: "Committed",
    16: "Abandon",
    17: "SourcesEnded",
    18: "Pulse",
    20: "Gather",
    21: "Gathered",
    22: "Empty",
    23: "Emptied",
    24: "Hold",
    25: "Held",
    26: "Moved",
    27: "NotMoved",
    28: "CallOff",
    29: "Leave",
    30: "Measured",
    31: "Counted",
    33: "Delivered",
    34: "Release",
    35: "GivenBack",
    40: "Query",
    41: "Replied",
    42: "Request",
    43: "Progress",
    44: "Answer",
    50: "Offer",
    51: "Accepted",
    52: "Prepared",
    53: "StartProcess",
    54: "ProcessStarted",
    55: "ProcessEnded",
    56: "EndProcess",
    57: "Withdraw",
    58: "Dismissed",
    59: "Beat",
    60: "Discovered",
    61: "Splits",
    62: "SplitsStarted",
    63: "SplitsEnded",
    64: "CutDelivered",
    65: "DeliverCut",
}


def test_the_tags_on_the_wire_stay() -> None:
    assert {tag: kind.__name__ for tag, kind in TYPE_OF_TAG.items()} == TAGS


@pytest.mark.parametrize(
    "counts",
    [{"w": 1}, {1: {}}, {"w": {"n": [1]}}, {"w": {"n": "abcd"}}, {"w": {"n": [1, 2, 3, ""]}}],
)
def test_counts_that_are_not_four_numbers_are_refused(counts: Any) -> None:
    content = msgpack.packb([Counted.tag, EPOCH, "w1", EPOCH, counts])
    with pytest.raises(ProtocolError, match="not four numbers by node"):
        decode_control_frame(content)
