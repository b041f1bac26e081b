"""The loops that chains will run over the machines of ``wallaroo.timing``, written by hand here."""

from collections.abc import Callable, Sequence
from typing import Any

from tests.bench.timing.loops import Count
from tests.bench.timing.records import BOUND, GAP, SIZE, Run, decode, encode
from wallaroo.timing.keyed_objects import UntrackedObjects
from wallaroo.timing.pane_saving import PaneChanges
from wallaroo.timing.pane_store import PaneStore
from wallaroo.timing.sessions import SessionStore
from wallaroo.timing.window_spec import (
    AggregationSpec,
    Firing,
    FixedWindows,
    SessionWindows,
    WindowSpec,
)

KEYS_AT_ONCE = 500
CHUNKS_BETWEEN_BARRIERS = 25


def update(record: Any, count: Count) -> None:
    count.add(record)


def merged(one: Count, other: Count) -> Count:
    total = Count()
    total.count = one.count + other.count
    return total


COUNT = AggregationSpec(
    name="count", initial=Count, update=update, update_returns=False, merge=merged
)


def fire(store: PaneStore | SessionStore, out: list[bytes]) -> None:
    while (fired := store.fire_some(KEYS_AT_ONCE)) is not None:
        for key, accumulator in zip(fired.keys, fired.accumulators, strict=True):
            out.append(encode(key, accumulator.count))


def tumbling() -> Run:
    return _tumbling(lambda store: None)


def tumbling_with_checkpoints() -> Run:
    """Take a checkpoint every 25 chunks, and write 500 keys of it after each."""
    number = 0
    changes: PaneChanges | None = None

    def after_chunk(store: PaneStore) -> None:
        nonlocal number, changes
        changes = changes or PaneChanges(store)
        changes.write_slice(KEYS_AT_ONCE)
        number += 1
        if number % CHUNKS_BETWEEN_BARRIERS == 0:
            while changes.is_writing:
                changes.write_slice(KEYS_AT_ONCE)
            changes.committed()
            changes.freeze(lambda chunk: None)

    return _tumbling(after_chunk, tracks_changes=True)


def _tumbling(after_chunk: Callable[[PaneStore], None], *, tracks_changes: bool = False) -> Run:
    spec = WindowSpec(windows=FixedWindows(SIZE, SIZE), aggregation=COUNT, firing=Firing())
    store = PaneStore(spec, tracks_changes=tracks_changes)
    out: list[bytes] = []
    newest = 0

    def run(payloads: Sequence[bytes]) -> None:
        nonlocal newest
        top = newest
        low = high = 0
        accumulators: dict[Any, Any] = {}
        get: Callable[[Any], Any] = accumulators.get
        for payload in payloads:
            key, time = record = decode(payload)
            if time > top:
                top = time
            if key.__class__ is not str:
                raise TypeError(key)
            if not low <= time < high:
                found = store.locate(key, record, time)
                if found is None:
                    continue
                low, high, accumulators, get, missing = found
            count = get(key)
            if count is None:
                count = missing(key)
                update(record, count)
                accumulators[key] = count
            else:
                update(record, count)
        newest = top
        store.advance(max(store.clock, top - BOUND))
        fire(store, out)
        after_chunk(store)

    return run


def sessions() -> Run:
    spec = WindowSpec(windows=SessionWindows(GAP), aggregation=COUNT, firing=Firing())
    state = UntrackedObjects()
    store = SessionStore(spec, state)
    find = state.objects.get
    out: list[bytes] = []
    newest = 0

    def run(payloads: Sequence[bytes]) -> None:
        nonlocal newest
        top, closed = newest, store.closed_until
        for payload in payloads:
            key, time = record = decode(payload)
            if time > top:
                top = time
            if key.__class__ is not str:
                raise TypeError(key)
            mine = find(key)
            if mine is not None and len(mine) == 1:
                (session,) = mine
                if session.start <= time < session.end > closed:
                    if time + GAP > session.end:
                        session.extend(session.start, time + GAP)
                    update(record, session.accumulator)
                    continue
            store.add(key, record, time)
        newest = top
        store.advance(max(store.clock, top - BOUND))
        fire(store, out)

    return run
