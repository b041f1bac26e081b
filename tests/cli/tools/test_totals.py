import json

import pytest

from wallaroo_cli.tools.totals import Totals, describe_bytes


def test_totals_read_as_a_sentence() -> None:
    assert Totals(1_000_000, 9_000_000, 0.8).describe() == (
        "1,000,000 messages, 9.0 MB in 0.8 s (1,250,000 messages/s)"
    )


def test_nothing_in_no_time_is_not_an_error() -> None:
    assert Totals(0, 0, 0.0).describe() == "0 messages, 0 bytes in 0.0 s (0 messages/s)"


def test_json_has_the_same_and_more() -> None:
    assert json.loads(Totals(10, 90, 2.0).json(connections=3)) == {
        "messages": 10,
        "bytes": 90,
        "seconds": 2.0,
        "messages_per_second": 5.0,
        "connections": 3,
    }


@pytest.mark.parametrize(
    ("count", "text"),
    [(999, "999 bytes"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (3e15, "3,000.0 TB")],
)
def test_bytes_are_told_in_a_fitting_unit(count: float, text: str) -> None:
    assert describe_bytes(count) == text
