"""The JSON objects of requests: other text is refused with the reason."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wallaroo.errors import ProtocolError
from wallaroo.wire.requests import from_json, to_json

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), VALUES))
def test_what_is_written_is_read_back(values: dict[str, Any]) -> None:
    assert from_json(to_json(values)) == values


def test_an_object_is_one_line() -> None:
    assert to_json({"a": [1, "two\n"]}) == '{"a":[1,"two\\n"]}'


def test_a_number_that_json_does_not_have_is_not_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        to_json({"rate": float("nan")})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "0 characters of a request are not JSON"),
        ("{", "1 characters of a request are not JSON"),
        ("[" * 100_000, "100000 characters of a request are not JSON"),
        ("[1]", "a request holds a JSON object, not list"),
        ("null", "a request holds a JSON object, not NoneType"),
    ],
)
def test_other_text_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        from_json(text)
