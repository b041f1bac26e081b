"""Finds the most frequent keys in a sample of all keys, by a count-min sketch."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from probables import HeavyHitters
from xxhash import xxh3_64_intdigest

from wallaroo.routing.keys import Key, display_key, short_repr
from wallaroo.routing.short_keys import short_key, short_text

KEPT = 20
WIDTH = 2048
DEPTH = 4
GENERATION_S = 60.0
"""A key that is not hot any more is forgotten after one or two generations."""

_KEY_CHARACTERS_MAX = 100


class HottestKeys:
    """The most frequent keys of one state, on the worker that owns them."""

    def __init__(self) -> None:
        self._old = _Generation()
        self._new = _Generation()
        self._started_s: float | None = None

    def add(self, now_s: float, keys: Iterable[Key]) -> None:
        """Add the keys of a sample."""
        if self._started_s is None:
            self._started_s = now_s
        if now_s - self._started_s >= GENERATION_S:
            self._old, self._new, self._started_s = self._new, _Generation(), now_s
        self._new.add(keys)

    @property
    def sample_count(self) -> int:
        """Number of keys in the generations that still count."""
        return self._old.count + self._new.count

    def top(self, count: int = 10) -> list[list[Any]]:
        """Return the most frequent keys as text, each with its count in the sample.

        A count is never too low. It is too high only if keys share all their cells of the sketch.
        """
        total = Counter(self._old.top())
        total.update(self._new.top())
        return [[key, found] for key, found in total.most_common(count)]


class _Generation:
    """The keys of one generation."""

    def __init__(self) -> None:
        self._sketch = HeavyHitters(KEPT, WIDTH, DEPTH, hash_function=_hashes)
        self.count = 0

    def add(self, keys: Iterable[Key]) -> None:
        for key, count in Counter(keys).items():
            self._sketch.add(_shown(key), count)
            self.count += count

    def top(self) -> dict[str, int]:
        return dict(self._sketch.heavy_hitters)


def _shown(key: Key) -> str:
    shown, _ = short_key(display_key(key))
    text = shown if isinstance(shown, str) else short_repr(shown)
    return short_text(text, _KEY_CHARACTERS_MAX).encode("utf-8", "backslashreplace").decode()


def _hashes(key: str | bytes, depth: int = 1) -> list[int]:
    data = key if isinstance(key, bytes) else key.encode()
    return [xxh3_64_intdigest(data, seed) for seed in range(depth)]
