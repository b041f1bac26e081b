"""Batches as bytes: what comes back, and what is told apart on the way."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from wallaroo.operators.batches import Batch, Form, pack_objects, pack_payloads, unpack
from wallaroo.routing.keys import canonical_key

keys = st.none() | st.text() | st.integers() | st.booleans().map(canonical_key)
records = st.recursive(st.none() | st.text() | st.integers() | st.binary(), st.lists, max_leaves=5)
triples = st.lists(st.tuples(keys, records, st.none() | st.binary()))


def flat(rows: list[tuple[Any, ...]]) -> list[Any]:
    return [item for row in rows for item in row]


@given(st.lists(st.tuples(keys, st.binary())))
def test_payloads_come_back_with_their_keys(rows: list[tuple[Any, bytes]]) -> None:
    batch, bad = unpack(Form.PAYLOADS, pack_payloads(flat(rows)), None)
    assert bad == []
    assert batch.records is None
    assert [*zip(batch.keys, batch.payloads, strict=True)] == rows


@given(triples)
def test_objects_come_back_with_their_keys_and_payloads(rows: list[tuple[Any, ...]]) -> None:
    body, unpacked = pack_objects(flat(rows), None)
    batch, unread = unpack(Form.OBJECTS, body, None)
    assert unpacked == unread == []
    assert batch.records is not None
    assert [*zip(batch.keys, batch.records, batch.payloads, strict=True)] == rows


def test_the_applications_own_functions_see_each_record() -> None:
    rows = [("k", {"a": 1}, b"1"), (None, [2], None)]
    body, unpacked = pack_objects(flat(rows), lambda record: json.dumps(record).encode())
    assert b'{"a": 1}' in body
    batch, unread = unpack(Form.OBJECTS, body, json.loads)
    assert unpacked == unread == []
    assert batch == Batch(["k", None], [b"1", None], [{"a": 1}, [2]])


def test_a_record_that_cannot_be_packed_is_told_apart_with_all_that_is_known_of_it() -> None:
    unpicklable = (number for number in range(1))
    rows = [("a", 1, b"1"), ("b", unpicklable, b"2"), ("c", 3, b"3")]
    body, (bad,) = pack_objects(flat(rows), None)
    assert (bad.key, bad.record, bad.payload) == ("b", unpicklable, b"2")
    assert isinstance(bad.error, TypeError)
    assert unpack(Form.OBJECTS, body, None) == (Batch(["a", "c"], [b"1", b"3"], [1, 3]), [])


def test_a_record_that_the_application_cannot_read_is_told_apart() -> None:
    body, _ = pack_objects(["a", b"1", b"x", "b", b"?", b"y"], bytes)
    batch, (bad,) = unpack(Form.OBJECTS, body, int)
    assert batch == Batch(["a"], [b"x"], [1])
    assert (bad.key, bad.payload, bad.record) == ("b", b"y", b"?")
    assert isinstance(bad.error, ValueError)


def test_what_serialize_returns_must_be_bytes() -> None:
    body, bad = pack_objects(["a", "1", None, "b", bytearray(b"2"), None], lambda record: record)
    assert [str(each.error) for each in bad] == [
        "serialize must return bytes, got str",
        "serialize must return bytes, got bytearray",
    ]
    assert unpack(Form.OBJECTS, body, int) == (Batch([], [], []), [])


def test_the_numbers_on_the_wire_stay() -> None:
    assert [(form.name, form.value) for form in Form] == [("PAYLOADS", 1), ("OBJECTS", 2)]
