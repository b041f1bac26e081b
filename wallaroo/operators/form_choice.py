"""Which form of a record is cheaper across an exchange: its payload or the object.

A payload costs a second call of the decoder at its owner; an object costs serialising it here and
reading it there. Which is more depends on the application: a decoder of 0.4 microseconds beats
pickling by far, one that parses JSON does not. So it is measured, once for each exchange, on the
first records that come along.
"""

from collections.abc import Callable, Sequence
from typing import Any

from wallaroo.operators.batches import Deserialize, Form, Serialize
from wallaroo.operators.columns import dump_records, load_records

SAMPLE_RECORDS_MIN = 64
SAMPLE_RECORDS_MAX = 256
ROUNDS = 3
OBJECTS_MUST_SAVE = 0.9
"""Objects are chosen below this share of the payloads' cost; near a tie payloads are smaller."""

Clock = Callable[[], float]
"""Seconds, from any origin."""


def cheaper_form(
    payloads: Sequence[bytes],
    decode: Callable[[bytes], Any],
    serialize: Serialize | None,
    deserialize: Deserialize | None,
    clock: Clock,
) -> Form:
    """Return the cheaper form for records like those in ``payloads``."""
    sample = payloads[:SAMPLE_RECORDS_MAX]
    try:
        records = [decode(payload) for payload in sample]
        as_payloads_s = _fastest(lambda: [decode(payload) for payload in sample], clock)
        as_objects_s = _fastest(lambda: _there_and_back(records, serialize, deserialize), clock)
    except BaseException:  # noqa: BLE001  the user's code; what cannot be measured is not risked
        return Form.PAYLOADS
    return Form.OBJECTS if as_objects_s < OBJECTS_MUST_SAVE * as_payloads_s else Form.PAYLOADS


def _there_and_back(
    records: list[Any], serialize: Serialize | None, deserialize: Deserialize | None
) -> None:
    if serialize is None or deserialize is None:
        load_records(dump_records(records))
    else:
        for record in records:
            deserialize(serialize(record))


def _fastest(work: Callable[[], object], clock: Clock) -> float:
    times = []
    for _ in range(ROUNDS):
        started = clock()
        work()
        times.append(clock() - started)
    return min(times)
