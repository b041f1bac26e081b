"""What travels across an exchange is what is cheaper for this application."""

from collections.abc import Callable
from typing import Any

from wallaroo.operators.batch_format import cheaper_form
from wallaroo.operators.batches import BatchFormat

RECORDS = ["key", b"1"] * 100


class Costs:
    """A clock that only the functions under test move."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def clock(self) -> float:
        return self.now_s

    def taking(self, cost_s: float, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def timed(value: Any) -> Any:
            self.now_s += cost_s
            return function(value)

        return timed


def chosen(decode_s: float, serialize_s: float, deserialize_s: float) -> BatchFormat:
    costs = Costs()
    return cheaper_form(
        RECORDS,
        costs.taking(decode_s, int),
        costs.taking(serialize_s, lambda record: str(record).encode()),
        costs.taking(deserialize_s, int),
        costs.clock,
    )


def test_payloads_travel_where_decoding_again_is_cheaper() -> None:
    assert chosen(decode_s=1, serialize_s=1, deserialize_s=1) is BatchFormat.PAYLOADS


def test_objects_travel_where_the_decoder_costs_more_than_both_ways_of_serialising() -> None:
    assert chosen(decode_s=3, serialize_s=1, deserialize_s=1) is BatchFormat.OBJECTS


def test_payloads_travel_near_a_tie() -> None:
    assert chosen(decode_s=2.1, serialize_s=1, deserialize_s=1) is BatchFormat.PAYLOADS


def test_records_that_cannot_be_measured_travel_as_payloads() -> None:
    def fail(record: Any) -> bytes:
        raise ValueError(record)

    assert cheaper_form(RECORDS, int, fail, int, lambda: 0.0) is BatchFormat.PAYLOADS
    assert cheaper_form(["key", b"no number"], int, None, None, lambda: 0.0) is BatchFormat.PAYLOADS
