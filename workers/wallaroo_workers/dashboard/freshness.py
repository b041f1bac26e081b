"""Answers that are made at most once a second, however many clients ask.

The initializer coordinates the cluster on the same loop, so what the page costs must not grow with
the number of its readers.
"""

import json
import time
from collections.abc import Callable
from typing import Any

AGE_MAX_S = 0.95


class Fresh:
    """The bytes that ``make`` returned less than a second ago, or else new ones."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._made_s = float("-inf")
        self._bytes = b""

    def get(self) -> bytes:
        """Return the answer."""
        now_s = time.monotonic()
        if now_s - self._made_s >= AGE_MAX_S:
            self._bytes = self._make()
            self._made_s = now_s
        return self._bytes


def encode_json(value: Any) -> bytes:
    """Return ``value`` as JSON without blanks; what JSON does not know becomes its text."""
    return json.dumps(value, separators=(",", ":"), default=str).encode()
