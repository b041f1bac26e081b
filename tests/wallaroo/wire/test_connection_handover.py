"""What workers say to each other with connections that they hand over."""

import msgpack
import pytest

from wallaroo.errors import ProtocolError
from wallaroo.names import WorkerName
from wallaroo.wire.connection_handover import (
    BATCH_BYTES,
    BATCH_COUNT_MAX,
    CONNECTIONS_MAX,
    LENGTH,
    batches,
    decode_batch,
    decode_offer,
    encode_batch,
    encode_offer,
)

PIPELINES = frozenset([0, 2])


def content_of(part: bytes) -> bytes:
    (length,) = LENGTH.unpack(part[: LENGTH.size])
    assert length == len(part) - LENGTH.size
    return part[LENGTH.size :]


def test_an_offer_comes_back_as_it_was() -> None:
    offer = (3, WorkerName("w1"), 2, 40)
    assert decode_offer(content_of(encode_offer(*offer))) == offer


def test_a_batch_comes_back_as_it_was() -> None:
    batch = [(0, b""), (2, b"\x00\x00begin"), (0, b"\xff")]
    assert decode_batch(content_of(encode_batch(batch)), PIPELINES) == batch


@pytest.mark.parametrize(
    "values",
    [
        *(None, 1, [], [1, 2, 3, 4], [1, "w1", 1, -1], [1, "w1", 1, CONNECTIONS_MAX + 1]),
        *([1, b"w1", 1, 2], [1, "w1", 2], ["1"]),
    ],
    ids=repr,
)
def test_values_that_are_not_an_offer_are_an_error(values: object) -> None:
    with pytest.raises(ProtocolError, match="offer of connections"):
        decode_offer(msgpack.packb(values))


@pytest.mark.parametrize(
    "values", [None, 1, "x", [1], [[1, b""]], [[0, "text"]], [[0, b"", 1]], {}], ids=repr
)
def test_values_that_are_not_a_batch_are_an_error(values: object) -> None:
    with pytest.raises(ProtocolError, match="batch of connections"):
        decode_batch(msgpack.packb(values), PIPELINES)


def test_noise_is_an_error() -> None:
    with pytest.raises(ProtocolError):
        decode_offer(b"\xc1")
    with pytest.raises(ProtocolError):
        decode_batch(b"\x93\x01", PIPELINES)


def test_batches_are_bounded_in_number_and_bytes() -> None:
    few, many = [b""] * 3, [b""] * (BATCH_COUNT_MAX + 1)
    assert batches([]) == []
    assert batches(few) == [slice(0, 3)]
    assert batches(many) == [slice(0, BATCH_COUNT_MAX), slice(BATCH_COUNT_MAX, len(many))]
    half = bytes(BATCH_BYTES // 2 + 1)
    assert batches([half, half, half]) == [slice(0, 2), slice(2, 3)]
    # One that is longer than all that goes into a batch goes alone.
    assert batches([bytes(3 * BATCH_BYTES), b""]) == [slice(0, 1), slice(1, 2)]
