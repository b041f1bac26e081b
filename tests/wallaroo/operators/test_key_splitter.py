"""Payloads parted by the owners of their keys: compiled and in Python they do the same."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wallaroo.names import WorkerName
from wallaroo.operators.key_splitter import KeySplitter
from wallaroo.operators.routes import Routes, is_compiled
from wallaroo.routing.partition_map import PartitionMap
from wallaroo.routing.payload_keys import KeyField, KeyFunction, KeyInJSON, KeySlice, PayloadKey

ME, OTHER = WorkerName("me"), WorkerName("other")

needs_compiler = pytest.mark.skipif(
    not is_compiled(), reason="built without a compiler: there is nothing to compare"
)


class Parted:
    """What a splitter made of payloads."""

    def __init__(
        self, rule: PayloadKey, payloads: list[Any], declared: tuple[Any, ...], hashed: int = 64
    ) -> None:
        partition_map = PartitionMap.initial("s", hashed, declared, [ME, OTHER])
        self.sent: list[Any] = []
        lists = [None if owner == ME else self.sent for owner in partition_map.owners]
        splitter = KeySplitter(rule, Routes(partition_map, lists))
        self.keys: list[Any] = []
        self.own: list[bytes] = []
        self.bad: list[tuple[bytes, str]] = []
        # In two slices, so that the second finds what the first has left in the table.
        for part in (payloads[: len(payloads) // 2], payloads[len(payloads) // 2 :]):
            keys, own, bad = splitter.split(part)
            self.keys += keys
            self.own += own
            self.bad += [(payload, f"{type(error).__name__}: {error}") for payload, error in bad]

    def facts(self) -> tuple[Any, ...]:
        types = [type(key) for key in (*self.keys, *self.sent)]
        return self.keys, self.own, self.sent, self.bad, types


def compare(
    rule: PayloadKey, payloads: list[Any], declared: tuple[Any, ...] = (), hashed: int = 64
) -> Parted:
    compiled = Parted(rule, payloads, declared, hashed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wallaroo.operators.routes._compiled", None)
        in_python = Parted(rule, payloads, declared, hashed)
    assert compiled.facts() == in_python.facts()
    return compiled


@needs_compiler
@given(
    st.lists(st.binary(max_size=6)),
    st.integers(0, 3),
    st.integers(1, 3),
    st.booleans(),
    st.sampled_from([(), ("a", b"a")]),
)
def test_slices(
    payloads: list[bytes], offset: int, length: int, is_bytes: bool, declared: tuple[Any, ...]
) -> None:
    compare(KeySlice(offset, length, is_bytes), payloads, declared)


@needs_compiler
@given(
    st.lists(st.text("a,;é", max_size=8).map(str.encode)),
    st.integers(0, 3),
    st.sampled_from([b",", b";", b",,", b";,;", "é".encode()]),
    st.booleans(),
)
def test_fields(payloads: list[bytes], field: int, separator: bytes, is_bytes: bool) -> None:
    compare(KeyField(field, separator, is_bytes), payloads)


NAMES = ["u", "user", "us\\u0065r", 'q"', "é"]
tokens = st.sampled_from(
    [
        *'{}[]:,"\\ \n',
        *(json.dumps(name) for name in NAMES),
        '"user":',
        '"user": ',
        '{"user":',
        '"\\ud800"',
        *("0", "-0", "7", "-12", "1.0", "1e3", "true", "false", "null", "0x", "012"),
        "9" * 18,
        "9" * 19,
        "-" + "9" * 18,
        "x",
    ]
)


@needs_compiler
@given(
    st.lists(st.lists(tokens, max_size=12).map("".join).map(str.encode), max_size=8),
    st.sampled_from(["user", "u", 'q"', "é", "7"]),
    st.sampled_from([(), ("7", 7)]),
)
@example([b'{"user": "7"}', b'{"user": 7}', b'{"user":"7"}'], "user", ("7",))
@example([b'{"user": 0}', b'{"user": -0}', b'{"user": 0,'], "user", ())
def test_json_however_broken(payloads: list[bytes], name: str, declared: tuple[Any, ...]) -> None:
    compare(KeyInJSON(name), payloads, declared)


@needs_compiler
def test_more_keys_than_the_table_holds() -> None:
    payloads = [b"%07d" % (number % 20_000) for number in range(50_000)]
    parted = compare(KeySlice(0, 7), payloads)
    assert len(parted.own) + len(parted.sent) // 2 == 50_000


@needs_compiler
def test_a_state_of_declared_keys_only_refuses_others_each_time() -> None:
    parted = compare(KeySlice(0, 1), [b"a", b"b", b"a", b"b", b"c"], ("a", "c"), hashed=0)
    assert [payload for payload, _ in parted.bad] == [b"b", b"b"]
    assert "no partition for the key 'b'" in parted.bad[0][1]


def refuse(payload: bytes) -> str:
    raise LookupError(payload.decode())


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (refuse, "LookupError: a"),
        (lambda _: 1.5, "TypeError: a float cannot be a key"),
        (lambda _: exit(3), "SystemExit: 3"),
    ],
)
def test_whatever_a_function_does_is_its_records_failure(
    function: Callable[[bytes], Any], said: str
) -> None:
    parted = Parted(KeyFunction(function, "f"), [b"a"], ())
    assert parted.bad[0][0] == b"a"
    assert parted.bad[0][1].startswith(said)


def test_records_of_a_key_keep_their_order_though_one_is_odd() -> None:
    payloads = [b'{"k":"a","n":1}', b'{"\\u006b":"a","n":2}', b'{"k":"a","n":3}']
    parted = Parted(KeyInJSON("k"), payloads, ())
    assert [*parted.own, *parted.sent[1::2]] == payloads
