"""Rows and failures on their way from a worker to the program that runs the cluster."""

import pickle
from collections.abc import Iterator
from typing import Any

ROWS_IN_PART = 1_000
FAILURES_MAX = 1_000
"""Failures that a worker gives back; the others are counted, and are in the dead letters."""

Refused = list[tuple[Any, BaseException]]
"""Rows that cannot be pickled, with what was raised."""


def pickled_in_parts(rows: list[Any]) -> tuple[list[bytes], Refused]:
    """Return pickled lists of these rows, and the rows that cannot be pickled."""
    parts: list[bytes] = []
    refused: Refused = []
    for part in _parts(rows):
        try:
            parts.append(pickle.dumps(part, 5))
        except Exception:  # noqa: BLE001  user code; the failing row is found below
            good = []
            for row in part:
                try:
                    pickle.dumps(row, 5)
                    good.append(row)
                except Exception as error:  # noqa: BLE001  as above
                    refused.append((row, error))
            parts.append(pickle.dumps(good, 5))
    return parts, refused


def _parts(rows: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(rows), ROWS_IN_PART):
        yield rows[start : start + ROWS_IN_PART]
