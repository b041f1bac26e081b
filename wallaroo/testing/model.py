"""Windows by definition, computed from all records at once.

This is what results are compared with. Each record is put into every window that contains
it, and nothing here shares code with what runs in a worker.
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
