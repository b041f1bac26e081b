"""Which form of a record is cheaper across an exchange: its payload or the object.

A payload costs a second call of the decoder at its owner; an object costs serialising it here and
reading it there. Which is more depends on the application: a decoder of 0.4 microseconds beats
pickling by far, one that parses JSON does not. So it is measured, once for each exchange, on the
first records that come along.
"""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import Any

from wallaroo.operators.batches import (
    BatchFormat,
    Deserialize,
    Serialize,
    pack_objects,
    pack_payloads,
    unpack,
)

SAMPLE_RECORDS_MIN = 64
SAMPLE_RECORDS_MAX = 256
ROUNDS_MAX = 8
TIME_S = 0.02
"""No round begins later: records wait meanwhile."""
OBJECTS_MUST_SAVE = 0.8
"""Objects are chosen below this share of the payloads' cost; near a tie payloads are smaller."""

Clock = Callable[[], float]
"""Seconds, from any origin."""


def cheaper_form(
    flat: list[Any],
    decode: Callable[[bytes], Any],
    serialize: Serialize | None,
    deserialize: Deserialize | None,
    clock: Clock,
) -> BatchFormat:
    """Return the cheaper form for records like those in ``flat``: ``key, payload, key, …``."""
    flat = flat[: 2 * SAMPLE_RECORDS_MAX]
    keys, payloads = flat[0::2], flat[1::2]
    try:
        records = [decode(payload) for payload in payloads]
        objects = list(chain.from_iterable(zip(keys, records, payloads, strict=True)))
        _, bad = pack_objects(objects, serialize)
        if bad:
            return BatchFormat.PAYLOADS

        def as_payloads() -> None:
            batch, _ = unpack(BatchFormat.PAYLOADS, pack_payloads(flat), None)
            for payload in batch.payloads:
                decode(payload)  # type: ignore[arg-type]  # each record here has its payload

        def as_objects() -> None:
            unpack(BatchFormat.OBJECTS, pack_objects(objects, serialize)[0], deserialize)

        # In turn, since a machine may change its speed in between.
        times = zip(_times(as_payloads, clock), _times(as_objects, clock), strict=False)
        as_payloads_s, as_objects_s = map(min, zip(*times, strict=True))
    except BaseException:  # noqa: BLE001  the user's code; what cannot be measured is not risked
        return BatchFormat.PAYLOADS
    return (
        BatchFormat.OBJECTS
        if as_objects_s < OBJECTS_MUST_SAVE * as_payloads_s
        else BatchFormat.PAYLOADS
    )


def _times(work: Callable[[], object], clock: Clock) -> Iterator[float]:
    began = clock()
    for _ in range(ROUNDS_MAX):
        started = clock()
        work()
        ended = clock()
        yield ended - started
        if ended - began > TIME_S:
            return
