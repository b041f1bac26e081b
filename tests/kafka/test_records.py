"""What becomes a message of what an encoder returns, and what is refused."""

from typing import Any

import pytest

import wallaroo
from wallaroo_connectors.kafka import KafkaRecord
from wallaroo_connectors.kafka.records import OVERHEAD_BYTES, Message, messages_of


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (b"v", Message(b"v")),
        ("wörd", Message("wörd".encode())),
        (bytearray(b"v"), Message(b"v")),
        ((b"v", b"k"), Message(b"v", b"k")),
        (("v", None), Message(b"v")),
        (("v", "k", 2), Message(b"v", b"k", 2)),
        (KafkaRecord(None, "k"), Message(None, b"k")),
        (
            KafkaRecord(b"v", headers={"h": "1", "n": None}),
            Message(b"v", headers=[("h", b"1"), ("n", None)]),
        ),
        (
            KafkaRecord(b"v", headers=[("h", b"1"), ("h", b"2")]),
            Message(b"v", headers=[("h", b"1"), ("h", b"2")]),
        ),
        (KafkaRecord(b"v", timestamp_ms=1234, partition=0), Message(b"v", None, 0, 1234)),
    ],
)
def test_a_row_is_a_message(row: Any, message: Message) -> None:
    assert messages_of([row], 3, 1_000) == [message]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (5, "the value is an object of int; return bytes or a text"),
        ((b"v", 5), "the key is an object of int; return bytes or a text"),
        ((b"v",), "a tuple of 1; return (value, key), (value, key, partition) or a KafkaRecord"),
        ((b"v", b"k", 3), "there is no partition 3; the topic has 3, counted from 0"),
        ((b"v", b"k", -2), "there is no partition -2"),
        ((b"v", b"k", "1"), "the partition is '1'; give its number"),
        (KafkaRecord(b"v", headers={5: b"1"}), "the name of the header 5 is not a text"),  # type: ignore[dict-item]
        (KafkaRecord(b"v", headers=5), "headers are 5; give a dict or pairs"),  # type: ignore[arg-type]
        (KafkaRecord(b"v", headers={"h": 5}), "the header 'h' is an object of int"),  # type: ignore[dict-item]
        (KafkaRecord(b"v", timestamp_ms=-1), "timestamp_ms is -1; give Unix time in milliseconds"),
        (b"v" * 2_000, "the message has about 2100 bytes, and at most 1000 can be written"),
        (KafkaRecord(b"", headers={"h": b"v" * 950}), "the message has about 1061 bytes"),
    ],
)
def test_a_row_that_cannot_be_a_message_is_refused(row: Any, reason: str) -> None:
    with pytest.raises(wallaroo.Rejected) as refused:
        messages_of([b"good", row], 3, 1_000)
    [(index, said)] = refused.value.reasons.items()
    assert index == 1
    assert reason in said


def test_a_message_may_have_as_many_bytes_as_the_topic_allows() -> None:
    [_] = messages_of([b"v" * (1_000 - OVERHEAD_BYTES)], 1, 1_000)
