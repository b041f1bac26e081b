"""Keys of payloads: what counts as the key, and what is said if there is none."""

import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.routing.payload_keys import KeyField, KeyFunction, KeyInJSON, KeySlice, PayloadKey

USER = KeyInJSON("user")


@pytest.mark.parametrize(
    ("rule", "payload", "key"),
    [
        (KeySlice(0, 1), b"abc", "a"),
        (KeySlice(1, 2), b"abc", "bc"),
        (KeySlice(0, 2), "é!".encode(), "é"),
        (KeySlice(0, 2, is_bytes=True), b"\xff\x00a", b"\xff\x00"),
        (KeyField(0, b","), b"a,b,c", "a"),
        (KeyField(2, b","), b"a,b,c", "c"),
        (KeyField(1, b","), b"a,,c", ""),
        (KeyField(0, b","), b"", ""),
        (KeyField(1, b"::"), b"a::b:c::d", "b:c"),
        (KeyField(1, b",", is_bytes=True), b"a,\xff", b"\xff"),
        (USER, b'{"user": "ann"}', "ann"),
        (USER, b' {"n": {"user": "no"}, "l": ["user", "x"], "user" : "ann"} ', "ann"),
        (USER, b'{"user": 7, "x": 1}', 7),
        (USER, b'{"user": -12}', -12),
        (USER, b'{"user": 0}', 0),
        (USER, b'{"user": 123456789012345678901234567890}', 123456789012345678901234567890),
        (USER, b'{"user": true}', True),
        (USER, b'{"user":false}', False),
        (USER, b'{"user": "first", "user": "second"}', "first"),
        (USER, b'{"us\\u0065r": "ann"}', "ann"),
        (USER, b'{"user": "a\\"b\\\\"}', 'a"b\\'),
        (USER, b'{"x": "\\"user\\": 1", "user": "ann"}', "ann"),
        (USER, '{"user": "Zoë"}'.encode(), "Zoë"),
        (KeyFunction(len, "len"), b"abc", 3),
    ],
)
def test_the_key(rule: PayloadKey, payload: bytes, key: Any) -> None:
    found = rule.key_of(payload)
    assert (type(found), found) == (type(key), key)


@pytest.mark.parametrize(
    ("rule", "payload", "said"),
    [
        (KeySlice(0, 4), b"abc", "the payload has 3 bytes and the key is at 0 to 4"),
        (KeySlice(0, 1), b"\xff", "is not UTF-8: invalid start byte"),
        (KeyField(2, b","), b"a,b", "the payload has 2 fields and the key is field 2"),
        (USER, b"", "there is no 'user' at the top level of a JSON object"),
        (USER, b'["user", "ann"]', "there is no 'user'"),
        (USER, b'{"a": {"user": 1}}', "there is no 'user'"),
        (USER, b'{"a": "user"}', "there is no 'user'"),
        (USER, b'{"user', "there is no 'user'"),
        (USER, b'{"user": null}', "the value of 'user' is null; a key is"),
        (USER, b'{"user": 1.0}', "the value of 'user' is 1.0; a key is"),
        (USER, b'{"user": 1e3}', "the value of 'user' is 1e3; a key is"),
        (USER, b'{"user": 01}', "the value of 'user' is 01; a key is"),
        (USER, b'{"user": {}}', "the value of 'user' is {; a key is"),
        (USER, b'{"user": }', "the value of 'user' is }; a key is"),
        (USER, b'{"user": ', "the value of 'user' is nothing; a key is"),
        (USER, b'{"user": "\xff"}', "is not UTF-8"),
    ],
)
def test_a_payload_without_the_key(rule: PayloadKey, payload: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        rule.key_of(payload)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(
    st.dictionaries(st.sampled_from(["user", "us", "é", '"', "user ", ""]), values),
    st.booleans(),
    st.sampled_from([None, 1]),
)
def test_the_key_is_the_value_that_a_decoder_finds(
    record: dict[str, Any], is_ascii: bool, indent: int | None
) -> None:
    payload = json.dumps(record, ensure_ascii=is_ascii, indent=indent)
    try:
        data = payload.encode()
    except UnicodeEncodeError:
        return  # half of a surrogate pair
    value = record.get("user")
    if isinstance(value, str | int):
        assert USER.key_of(data) == value
    else:
        with pytest.raises(ValueError, match="user"):
            USER.key_of(data)
