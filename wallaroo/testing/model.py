"""Windows by definition, computed from all records at once.

This is what results are compared with. Each record is put into every window that contains
it, sessions are found by sorting, and nothing here shares code with what runs in a worker.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple


class TimedRecord(NamedTuple):
    """A record with its key and its time."""

    key: Any
    time: int
    value: Any


class KeyedWindow(NamedTuple):
    """A window of one key, from ``start`` up to, but without, ``end``."""

    key: Any
    start: int
    end: int


Contents = Mapping[KeyedWindow, list[Any]]
"""The values of each window that has any, in the order in which they were given."""


def fixed_windows(
    records: Iterable[TimedRecord], size: int, every: int, offset: int = 0
) -> Contents:
    """Return tumbling or sliding windows: one of ``size`` starts at ``offset`` and each ``every``
    before and after it."""
    contents: defaultdict[KeyedWindow, list[Any]] = defaultdict(list)
    for key, time, value in records:
        number = (time - offset) // every
        while (start := offset + number * every) + size > time:
            contents[KeyedWindow(key, start, start + size)].append(value)
            number -= 1
    return contents


def session_windows(
    records: Iterable[TimedRecord], gap: int, longest: int | None = None
) -> Contents:
    """Return sessions: a record less than ``gap`` after the one before it is in the same one.

    A session ends ``gap`` after its last record. A record ``longest`` or more after the start of a
    session begins another one.
    """
    contents: dict[KeyedWindow, list[Any]] = {}
    for key, mine in _by_key(records).items():
        groups: list[list[TimedRecord]] = []
        for record in sorted(mine, key=lambda each: each.time):
            group = groups[-1] if groups else []
            is_near = bool(group) and record.time < group[-1].time + gap
            is_short = longest is None or (bool(group) and record.time < group[0].time + longest)
            if is_near and is_short:
                group.append(record)
            else:
                groups.append([record])
        for group in groups:
            start, end = group[0].time, group[-1].time + gap
            if longest is not None:
                end = min(end, start + longest)
            contents[KeyedWindow(key, start, end)] = [each.value for each in group]
    return contents


def count_windows(records: Iterable[TimedRecord], count: int, slide: int) -> Mapping[Any, Any]:
    """Return the values of each full window of ``count`` records of a key, by key, in order."""
    contents = {}
    for key, mine in _by_key(records).items():
        starts = range(0, len(mine) - count + 1, slide)
        contents[key] = [[each.value for each in mine[start : start + count]] for start in starts]
    return contents


def _by_key(records: Iterable[TimedRecord]) -> Mapping[Any, list[TimedRecord]]:
    found: defaultdict[Any, list[TimedRecord]] = defaultdict(list)
    for record in records:
        found[record.key].append(record)
    return found
