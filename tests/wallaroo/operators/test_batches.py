"""Batches as bytes: what comes back, and what is told apart on the way."""

import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.operators import batches
from wallaroo.operators.batches import (
    BadRecord,
    Batch,
    BatchFormat,
    pack_objects,
    pack_payloads,
    unpack,
)
from wallaroo.routing.keys import canonical_key

keys = st.none() | st.text() | st.integers() | st.booleans().map(canonical_key)
records = st.recursive(st.none() | st.text() | st.integers() | st.binary(), st.lists, max_leaves=5)
triples = st.lists(st.tuples(keys, records, st.none() | st.binary()))


def flat(rows: list[tuple[Any, ...]]) -> list[Any]:
    return [item for row in rows for item in row]


@given(st.lists(st.tuples(keys, st.binary())))
def test_payloads_come_back_with_their_keys(rows: list[tuple[Any, bytes]]) -> None:
    batch, bad = unpack(BatchFormat.PAYLOADS, pack_payloads(flat(rows)), None)
    assert bad == []
    assert batch.records is None
    assert [*zip(batch.keys, batch.payloads, strict=True)] == rows


@given(triples)
def test_objects_come_back_with_their_keys_and_payloads(rows: list[tuple[Any, ...]]) -> None:
    body, unpacked = pack_objects(flat(rows), None)
    batch, unread = unpack(BatchFormat.OBJECTS, body, None)
    assert unpacked == unread == []
    assert batch.records is not None
    assert [*zip(batch.keys, batch.records, batch.payloads, strict=True)] == rows


def test_the_applications_own_functions_see_each_record() -> None:
    rows = [("k", {"a": 1}, b"1"), (None, [2], None)]
    body, unpacked = pack_objects(flat(rows), lambda record: json.dumps(record).encode())
    assert b'{"a": 1}' in body
    batch, unread = unpack(BatchFormat.OBJECTS, body, json.loads)
    assert unpacked == unread == []
    assert batch == Batch(["k", None], [b"1", None], [{"a": 1}, [2]])


def test_a_record_that_cannot_be_packed_is_told_apart_with_all_that_is_known_of_it() -> None:
    unpicklable = (number for number in range(1))
    rows = [("a", 1, b"1"), ("b", unpicklable, b"2"), ("c", 3, b"3")]
    body, (bad,) = pack_objects(flat(rows), None)
    assert (bad.key, bad.record, bad.payload) == ("b", unpicklable, b"2")
    assert isinstance(bad.error, TypeError)
    assert unpack(BatchFormat.OBJECTS, body, None) == (Batch(["a", "c"], [b"1", b"3"], [1, 3]), [])


def test_a_record_that_the_application_cannot_read_is_told_apart() -> None:
    body, _ = pack_objects(["a", b"1", b"x", "b", b"?", b"y"], bytes)
    batch, (bad,) = unpack(BatchFormat.OBJECTS, body, int)
    assert batch == Batch(["a"], [b"x"], [1])
    assert (bad.key, bad.payload, bad.record) == ("b", b"y", b"?")
    assert isinstance(bad.error, ValueError)


def test_what_serialize_returns_must_be_bytes() -> None:
    body, bad = pack_objects(["a", "1", None, "b", bytearray(b"2"), None], lambda record: record)
    assert [str(each.error) for each in bad] == [
        "serialize must return bytes, got str",
        "serialize must return bytes, got bytearray",
    ]
    assert unpack(BatchFormat.OBJECTS, body, int) == (Batch([], [], []), [])


def test_the_numbers_on_the_wire_stay() -> None:
    numbers = {form.name: form.value for form in BatchFormat}
    assert numbers == {"PAYLOADS": 1, "OBJECTS": 2, "PARTIALS": 3}


class TwoArguments(Exception):
    """Pickle would rebuild it from its message alone."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"{number}: {reason}")


class FailsAs:
    """Arrives as an error of its own."""

    def __init__(self, number: int) -> None:
        self.number = number

    def __setstate__(self, state: dict[str, Any]) -> None:
        raise LookupError(f"number {state['number']} does not come back")


class Vanishing:
    """Looked for in vain by the receiver, if a test says so."""


class FailsOnce:
    """Arrives when it is tried again."""

    tries = 0

    def __setstate__(self, state: dict[str, Any]) -> None:
        FailsOnce.tries += 1
        if FailsOnce.tries == 1:
            raise LookupError("not yet")


@dataclass(frozen=True)
class Reading:
    place: str
    value: Any


UNREADABLE: list[Callable[[int], Any]] = [
    FailsAs,
    lambda number: TwoArguments(number, "no"),
    lambda _: Vanishing(),
]
READABLE: list[Callable[[int], Any]] = [
    str,
    lambda number: number,
    lambda number: Reading("roof", number),
    lambda number: {"number": [number, None]},
    lambda number: ("key", frozenset({number}), bytearray(b"raw")),
]
WRAPPERS: list[Callable[[Any], Any]] = [
    lambda inner: inner,
    lambda inner: ("key", inner),
    lambda inner: [1, [inner], 2],
    lambda inner: {"a": 1, "inner": {"deep": inner}},
    lambda inner: Reading("cellar", inner),
    lambda inner: (1, 2, {inner: 3}, 4),
]


def is_expected(error: BaseException, record: Any) -> bool:
    """Say whether ``error`` is the one that this unreadable thing raises, and no other one's."""
    if isinstance(record, FailsAs):
        return repr(error) == f"LookupError('number {record.number} does not come back')"
    if isinstance(record, TwoArguments):
        return type(error) is TypeError and "'reason'" in str(error)
    return type(error) is AttributeError and "Vanishing" in str(error)


def unpacked_elsewhere(
    records: list[Any], monkeypatch: pytest.MonkeyPatch
) -> tuple[Batch, list[BadRecord]]:
    """Send ``records`` to where one class is not known, keyed and with payloads by position."""
    rows = [(f"k{index}", record, b"%d" % index) for index, record in enumerate(records)]
    body, unpacked = pack_objects(flat(rows), None)
    assert unpacked == []
    with monkeypatch.context() as elsewhere:
        elsewhere.delattr(sys.modules[__name__], "Vanishing")
        return unpack(BatchFormat.OBJECTS, body, None)


def check_told_apart(
    records: list[Any], inner_bad: dict[int, Any], arrived: tuple[Batch, list[BadRecord]]
) -> None:
    batch, bad = arrived
    good = [index for index in range(len(records)) if index not in inner_bad]
    assert batch.keys == [f"k{index}" for index in good]
    assert batch.payloads == [b"%d" % index for index in good]
    assert batch.records == [records[index] for index in good]
    assert [(each.key, each.payload, each.record) for each in bad] == [
        (f"k{index}", b"%d" % index, None) for index in sorted(inner_bad)
    ]
    for each, index in zip(bad, sorted(inner_bad), strict=True):
        assert is_expected(each.error, inner_bad[index])


@pytest.mark.parametrize("seed", range(100))
def test_exactly_the_records_that_cannot_be_unpickled_are_told_apart(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = random.Random(seed)
    records, inner_bad = [], {}
    for index in range(choice.randint(1, 50)):
        inner: Any
        if choice.random() < 0.3:
            inner = inner_bad[index] = choice.choice(UNREADABLE)(index)
            records.append(choice.choice(WRAPPERS)(inner))
        else:
            records.append(choice.choice(READABLE)(index))
    check_told_apart(records, inner_bad, unpacked_elsewhere(records, monkeypatch))


@pytest.mark.parametrize("seed", range(100))
def test_a_value_that_cannot_be_unpickled_spoils_only_its_record_among_columns(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = random.Random(seed)
    records, inner_bad = [], {}
    for index in range(choice.randint(1, 50)):
        inner: Any = choice.choice(READABLE)(index)
        if choice.random() < 0.3:
            inner = inner_bad[index] = choice.choice(UNREADABLE)(index)
            inner = choice.choice(WRAPPERS)(inner)
        records.append(Reading(f"place {index % 7}", inner))
    check_told_apart(records, inner_bad, unpacked_elsewhere(records, monkeypatch))


def test_records_of_a_class_that_is_not_found_are_all_told_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    vanishing = [Vanishing() for _ in range(3)]
    for number, each in enumerate(vanishing):
        each.number = number  # type: ignore[attr-defined]  # so that they travel as columns
    arrived = unpacked_elsewhere(vanishing, monkeypatch)
    check_told_apart(vanishing, dict(enumerate(vanishing)), arrived)


def test_records_are_told_apart_in_a_long_batch_too(monkeypatch: pytest.MonkeyPatch) -> None:
    # Pickle writes a thousand items of a list at a time.
    records: list[Any] = [str(index) for index in range(2_500)]
    records[0], records[1_700], records[2_499] = inner = [
        FailsAs(0),
        FailsAs(1_700),
        FailsAs(2_499),
    ]
    inner_bad = {record.number: record for record in inner}
    check_told_apart(records, inner_bad, unpacked_elsewhere(records, monkeypatch))


def test_a_record_that_can_be_read_when_tried_again_is_delivered() -> None:
    record = FailsOnce()
    record.tries = 7
    body, _ = pack_objects(["a", 1, b"1", "b", (record,), b"2"], None)
    batch, bad = unpack(BatchFormat.OBJECTS, body, None)
    assert bad == []
    assert batch.keys == ["a", "b"]
    assert FailsOnce.tries == 2


@pytest.mark.parametrize("answer", [None, [], [("one record", None)] * 3], ids=str)
def test_where_nobody_can_tell_the_records_apart_all_have_the_first_error(
    answer: list[Any] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rescue(data: bytes) -> list[Any]:
        if answer is None:
            raise ValueError("no idea")
        return answer

    monkeypatch.setattr(batches, "rescue_records", rescue)
    body, _ = pack_objects(["a", 1, b"1", "b", FailsAs(2), b"2"], None)
    batch, bad = unpack(BatchFormat.OBJECTS, body, None)
    assert batch == Batch([], [], [])
    assert [(each.key, each.payload) for each in bad] == [("a", b"1"), ("b", b"2")]
    assert {str(each.error) for each in bad} == {"number 2 does not come back"}


def test_a_pickle_that_is_cut_short_is_an_error_of_all_its_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "dump_records", lambda records: b"\x80\x05](K\x01K\x02")
    body, _ = pack_objects(["a", 1, b"1", "b", 2, b"2"], None)
    batch, bad = unpack(BatchFormat.OBJECTS, body, None)
    assert batch == Batch([], [], [])
    assert [type(each.error) for each in bad] == [EOFError, EOFError]


def test_a_serializer_that_would_end_the_process_fails_for_its_record_only() -> None:
    def serialize(record: str) -> bytes:
        if record == "bad":
            sys.exit(7)
        return record.encode()

    body, bad = pack_objects(["k", "good", b"1", "k", "bad", b"2"], serialize)
    assert [(one.record, type(one.error)) for one in bad] == [("bad", SystemExit)]
    batch, unread = unpack(BatchFormat.OBJECTS, body, bytes.decode)
    assert (batch.records, unread) == (["good"], [])
