"""What a worker says of its keys: page by page, each key once, also while others come."""

import itertools
import weakref
from typing import Any

import pytest

from wallaroo.errors import ClusterError
from wallaroo.operators.keyed_state import KeyedState
from wallaroo.routing.keys import canonical_key, key_bytes
from wallaroo.worker.rate import Rate
from wallaroo.worker.state_queries import PAGE_KEYS_MAX, KeyPages, get_key, key_counts


def page(
    states: dict[str, KeyedState], first: int, count: int, pages: KeyPages | None = None
) -> dict[str, Any]:
    return (pages or KeyPages()).page(states, {"state": "s", "first": first, "count": count})


def test_keys_come_page_by_page_in_the_order_of_their_creation() -> None:
    states: dict[str, KeyedState] = {"s": KeyedState({f"k{number}": number for number in range(5)})}
    assert page(states, 0, 2) == {
        "keys": [["str", "k0", False], ["str", "k1", False]],
        "is_last": False,
    }
    states["s"].put("late", 0)
    assert page(states, 2, 2)["keys"] == [["str", "k2", False], ["str", "k3", False]]
    assert page(states, 4, 9) == {
        "keys": [["str", "k4", False], ["str", "late", False]],
        "is_last": True,
    }
    assert page(states, 6, 9) == {"keys": [], "is_last": True}


@pytest.mark.parametrize("grows_by", [0, 1, 30])
def test_a_client_that_reads_all_pages_sees_each_key_once_while_others_are_added(
    grows_by: int,
) -> None:
    states: dict[str, KeyedState] = {"s": KeyedState(dict.fromkeys(range(100)))}
    pages = KeyPages()
    found: list[int] = []
    for turn in itertools.count():
        some = page(states, len(found), 7, pages)
        found += [int(text) for _, text, _ in some["keys"]]
        if some["is_last"]:
            break
        if turn % 3 == 0 and len(states["s"]) < 300:
            for key in range(len(states["s"]), len(states["s"]) + grows_by):
                states["s"].put(key, None)
    assert found == list(states["s"])


def test_two_that_read_at_once_both_see_all() -> None:
    states: dict[str, KeyedState] = {"s": KeyedState(dict.fromkeys(range(50)))}
    pages = KeyPages()
    found: list[list[str]] = [[], []]
    for turn in range(10):
        states["s"].put(1000 + turn, None)
        for mine in found:
            mine += [text for _, text, _ in page(states, len(mine), 7, pages)["keys"]]
    expected = [str(key) for key in states["s"]]
    assert found == [expected, expected]


def test_pages_let_go_of_objects_that_are_not_the_workers_any_more() -> None:
    pages = KeyPages()
    states: dict[str, KeyedState] = {"s": KeyedState(dict.fromkeys(range(9)))}
    page(states, 0, 2, pages)
    pages.keep_only(states)
    assert len(page(states, 2, 3, pages)["keys"]) == 3
    gone = weakref.ref(states["s"])
    states["s"] = KeyedState()
    pages.keep_only(states)
    assert gone() is None


def test_a_page_is_never_long() -> None:
    states = {"s": KeyedState(dict.fromkeys(range(PAGE_KEYS_MAX + 1)))}
    assert len(page(states, 0, 10**9)["keys"]) == PAGE_KEYS_MAX


def test_keys_of_all_kinds_are_told_apart() -> None:
    values = ["1", 1, True, b"1", ("1", True)]
    states = {"s": KeyedState({canonical_key(value): None for value in values})}
    assert page(states, 0, 9)["keys"] == [
        ["str", "1", False],
        ["int", "1", False],
        ["bool", "true", False],
        ["bytes", "1", False],
        ["json", '["1", true]', False],
    ]


def test_one_object_is_found_by_the_bytes_of_its_key() -> None:
    states = {"s": KeyedState({canonical_key(value): value for value in (True, 1)})}
    for value in (True, 1):
        key = key_bytes(canonical_key(value)).hex()
        found = get_key(states, None, {"state": "s", "key": key})
        assert found == {
            "is_there": True,
            "type": type(value).__name__,
            "value": value,
            "text": repr(value),
            "windows": [],
            "window_count": 0,
            "timers": [],
        }
    missing = key_bytes("1").hex()
    assert get_key(states, None, {"state": "s", "key": missing}) == {"is_there": False}


def test_a_state_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ClusterError, match="no state 's'"):
        page({}, 0, 1)


def test_counts_are_by_state() -> None:
    assert key_counts({"a": KeyedState(), "b": KeyedState({1: 1})}) == {"a": 0, "b": 1}


# Rates


def test_a_rate_is_that_of_the_last_seconds() -> None:
    rate = Rate()
    assert rate.per_second(0.0, 0) == 0.0
    for tenth in range(100):
        rate.sample(tenth / 10, tenth)
    assert rate.per_second(10.0, 100) == pytest.approx(10.0)
    for tenth in range(100, 200):
        rate.sample(tenth / 10, 100)
    assert rate.per_second(20.0, 100) == 0.0


def test_a_rate_does_not_divide_by_nothing() -> None:
    rate = Rate()
    rate.sample(5.0, 7)
    assert rate.per_second(5.0, 8) == 0.0
