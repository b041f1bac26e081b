"""Keys as text: what people read is what they can type, and a mistake says what a key is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.errors import ConfigError
from wallaroo.routing.key_text import KINDS, key_of_text, text_of_key
from wallaroo.routing.keys import canonical_key, display_key


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("apple", "str", "apple"),
        ("7", "str", "7"),
        ("7", "int", 7),
        ("-12", "int", -12),
        ("true", "bool", True),
        ("False", "bool", False),
        ("abc", "bytes", b"abc"),
        ("0x00ff", "bytes", b"\x00\xff"),
        ('["eu", 7, true, ["x"]]', "json", ("eu", 7, True, ("x",))),
        ('[{"bytes": "00ff"}, "s"]', "json", (b"\x00\xff", "s")),
        ('"plain"', "json", "plain"),
    ],
)
def test_a_text_of_a_kind_is_a_key(text: str, kind: str, value: object) -> None:
    assert key_of_text(text, kind) == canonical_key(value)


@pytest.mark.parametrize(
    ("text", "kind", "reason"),
    [
        ("seven", "int", "invalid literal"),
        ("yes", "bool", "it is true or false"),
        ("0x0", "bytes", "hexadecimal"),
        ("[1,", "json", "Expecting value"),
        ("[1.5]", "json", "a float cannot be a key"),
        ("null", "json", "a NoneType cannot be a key"),
        ('{"bytes": "00", "more": 1}', "json", "a dict cannot be a key"),
        ("a", "date", "kinds are"),
        ("[" * 2000 + "]" * 2000, "json", ""),
    ],
)
def test_a_mistake_names_the_kind_and_says_what_keys_are(text: str, kind: str, reason: str) -> None:
    with pytest.raises(ConfigError) as raised:
        key_of_text(text, kind)
    assert f"is not a key of the kind {kind}: " in str(raised.value)
    assert reason in str(raised.value)
    assert "JSON list" in raised.value.hint


plain_keys = st.text() | st.binary() | st.integers() | st.booleans()
keys = plain_keys | st.recursive(
    plain_keys, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=8
)


@given(keys)
def test_what_is_read_can_be_typed(value: object) -> None:
    key = canonical_key(value)
    kind, text = text_of_key(key)
    assert kind in KINDS
    found = key_of_text(text, kind)
    assert found == key
    assert display_key(found) == value
    assert type(display_key(found)) is type(value)


def test_what_a_terminal_would_obey_is_shown_with_escapes() -> None:
    assert text_of_key("a b, naïve") == ("str", "a b, naïve")
    assert text_of_key("a\nb") == ("json", '"a\\nb"')
    assert text_of_key("\x1b[2J") == ("json", '"\\u001b[2J"')
    assert text_of_key("\ud800") == ("json", '"\\ud800"')


def test_bytes_are_shown_as_text_where_that_can_be_typed() -> None:
    assert text_of_key(b"abc") == ("bytes", "abc")
    assert text_of_key(b"0x") == ("bytes", "0x3078")
    assert text_of_key(b"") == ("bytes", "0x")
    assert text_of_key(b"a\nb") == ("bytes", "0x610a62")
