"""Estimates the size of a state from the pickles of a few objects."""

import itertools
import pickle
import sys
import time
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

SIZES_KEPT = 128
TRIED_AT_ONCE = 4
PAUSE_FACTOR = 200
"""Sampling takes at most a two-hundredth of the time, however large the objects are."""
KEY_BYTES = 100
"""About what a key and its entries in dicts take."""


class StateSizes:
    """The sampled sizes of one state's objects on this worker."""

    def __init__(self) -> None:
        self._sizes: OrderedDict[Any, int] = OrderedDict()
        self._next_s = 0.0

    def sample(self, states: Mapping[Any, Any], keys: Iterable[Any]) -> None:
        """Measure a few objects, if it is time for that; hot keys count once."""
        started_s = time.perf_counter()
        if started_s < self._next_s:
            return
        chosen = [*itertools.islice(dict.fromkeys(keys), TRIED_AT_ONCE)]
        if not chosen and not self._sizes:
            chosen = [*itertools.islice(states, TRIED_AT_ONCE)]
        for key in chosen:
            if key not in states:
                self._sizes.pop(key, None)
                continue
            self._sizes[key] = _size(states[key])
            self._sizes.move_to_end(key)
        while len(self._sizes) > SIZES_KEPT:
            self._sizes.popitem(last=False)
        now_s = time.perf_counter()
        self._next_s = now_s + PAUSE_FACTOR * (now_s - started_s)

    def bytes(self, key_count: int) -> int:
        """Return about how many bytes this many keys take."""
        if not self._sizes:
            return 0
        mean = sum(self._sizes.values()) / len(self._sizes)
        return round(key_count * (mean + KEY_BYTES))


def _size(value: Any) -> int:
    try:
        return len(pickle.dumps(value, 5))
    except BaseException:  # noqa: BLE001  without checkpoints a state may hold what cannot be pickled
        return sys.getsizeof(value)
