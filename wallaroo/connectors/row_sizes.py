"""How many bytes rows count as, for back-pressure.

Bytes and texts count with their lengths. Of other rows a few are measured, and the result is
multiplied: a measurement costs a microsecond, which is too much for each row. An object counts with
what it refers to directly, so deep structures count as less than they are.
"""

import sys
from collections.abc import Sequence
from typing import Any

SAMPLED_MAX = 8
PARTS_MAX = 100
UNKNOWN_BYTES = 100
"""The size of an object that cannot be measured."""


def estimated_bytes(rows: Sequence[Any]) -> int:
    """Return about how many bytes these rows take; there is at least one."""
    if type(rows[0]) in (bytes, str):
        try:
            return sum(map(len, rows))
        except Exception:  # noqa: BLE001  another row is of another class, perhaps a user's
            return _sampled_bytes(rows)
    return _sampled_bytes(rows)


def _sampled_bytes(rows: Sequence[Any]) -> int:
    sampled = rows[:: -(-len(rows) // SAMPLED_MAX)]
    return sum(map(_size, sampled)) * len(rows) // len(sampled)


def _size(row: Any) -> int:
    try:
        parts: list[Any] = []
        if isinstance(row, dict):
            parts = [*row.keys(), *row.values()]
        elif isinstance(row, tuple | list):
            parts = [*row]
        elif isinstance(getattr(row, "__dict__", None), dict):
            parts = [*row.__dict__.values()]
        return sys.getsizeof(row) + sum(map(sys.getsizeof, parts[:PARTS_MAX]))
    except BaseException:  # noqa: BLE001  the user's class may do anything when it is asked
        return UNKNOWN_BYTES
