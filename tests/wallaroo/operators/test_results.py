"""What user functions may return, and what they are told about anything else."""

from typing import Any

import pytest

from wallaroo.operators.results import checked_pair, encoded_bytes, records_of_multi


def test_a_pair_is_any_tuple_or_list_of_two() -> None:
    assert checked_pair(("x", True)) == checked_pair(["x", True]) == ("x", True)


@pytest.mark.parametrize("result", [None, "ab", {1, 2}, {"a": 1, "b": 2}, (), (1, 2, 3), [1]])
def test_anything_else_is_not_a_pair(result: Any) -> None:
    with pytest.raises(TypeError, match="must return a pair") as raised:
        checked_pair(result)
    assert type(result).__name__ in str(raised.value)


def test_nothing_is_an_empty_list() -> None:
    assert records_of_multi(None) == []


def test_a_list_stays_the_very_list() -> None:
    records = [1, None]
    assert records_of_multi(records) is records


@pytest.mark.parametrize("result", ["ab", (1, 2), {1}, {}, 7, (number for number in range(2))])
def test_no_other_collection_is_taken_for_a_list(result: Any) -> None:
    with pytest.raises(TypeError, match=f"returned {type(result).__name__}; wrap the result in"):
        records_of_multi(result)


def test_text_becomes_utf8_and_bytes_of_any_kind_become_bytes() -> None:
    assert encoded_bytes("\u00e9") == b"\xc3\xa9"
    for each in (b"a", bytearray(b"a"), memoryview(b"a")):
        assert encoded_bytes(each) == b"a"
        assert type(encoded_bytes(each)) is bytes


@pytest.mark.parametrize("result", [7, None, ["a"], [1, 2]])
def test_nothing_else_can_be_written(result: Any) -> None:
    with pytest.raises(TypeError, match=f"this one returned {type(result).__name__}$"):
        encoded_bytes(result)
