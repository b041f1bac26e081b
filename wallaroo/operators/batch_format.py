"""Measures whether a record is cheaper across an exchange as its payload or as an object.

A payload costs a second call of the decoder at its owner. An object costs serializing it here and
reading it there. The winner depends on the application: a decoder that takes 0.4 microseconds is
much cheaper than pickling, and one that parses JSON is not. So both are measured on the first
records of each exchange.
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
"""No round starts later than this, because records wait."""
OBJECTS_MUST_SAVE = 0.8
"""Objects are chosen if they cost less than this share of payloads, which take fewer bytes."""

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

        # In turns, since the speed of a machine may change between them.
        times = zip(_times(as_payloads, clock), _times(as_objects, clock), strict=False)
        as_payloads_s, as_objects_s = map(min, zip(*times, strict=True))
    except BaseException:  # noqa: BLE001  user code; without a measurement payloads are safe
        return BatchFormat.PAYLOADS
    return (
        BatchFormat.OBJECTS
        if as_objects_s < OBJECTS_MUST_SAVE * as_payloads_s
        else BatchFormat.PAYLOADS
    )


def _times(work: Callable[[], object], clock: Clock) -> Iterator[float]:
    first_started = clock()
    for _ in range(ROUNDS_MAX):
        started = clock()
        work()
        ended = clock()
        yield ended - started
        if ended - first_started > TIME_S:
            return
