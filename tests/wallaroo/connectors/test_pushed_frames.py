"""Deliveries in the journal come back as they were."""

import datetime
import struct
import threading
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.connectors.pushed_frames import (
    UnjournalableRecordError,
    pack_delivery,
    unpack_deliveries,
)


@dataclass
class Mail:
    subject: str
    sent: datetime.date


@given(
    st.lists(
        st.binary()
        | st.text()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.booleans()
        | st.none()
        | st.tuples(st.integers(), st.text())
        | st.lists(st.integers())
    )
)
def test_records_come_back_in_their_order_and_of_their_types(records: list[Any]) -> None:
    back = unpack_deliveries(b"".join(pack_delivery(each, None, None) for each in records))
    assert back == records
    assert [type(each) for each in back] == [type(each) for each in records]


def test_an_object_comes_back_with_its_class() -> None:
    mail = Mail("hello", datetime.date(2026, 1, 1))
    assert unpack_deliveries(pack_delivery(mail, "a key", 5.0)) == [mail]


def test_a_record_that_cannot_be_pickled_is_named_by_its_class() -> None:
    with pytest.raises(UnjournalableRecordError, match=r"a record of class _thread\.lock cannot"):
        pack_delivery(threading.Lock(), None, None)


@pytest.mark.parametrize(
    "frames",
    [b"\0", b"\0\0\0\5abc", struct.pack("!I", 1) + b"\x05", struct.pack("!I", 3) + b"\xc1\xc1\xc1"],
)
def test_what_is_not_a_delivery_is_refused(frames: bytes) -> None:
    with pytest.raises(ValueError, match=r"delivery|frame"):
        unpack_deliveries(frames)


def test_a_class_that_is_gone_is_refused() -> None:
    frame = pack_delivery(Mail("hello", datetime.date(2026, 1, 1)), None, None)
    renamed = frame.replace(b"Mail", b"Gone")
    with pytest.raises(ValueError, match="Gone"):
        unpack_deliveries(renamed)
