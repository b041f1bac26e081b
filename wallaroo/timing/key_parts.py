"""What one key has in each pane of a state, for queries.

A key may be in thousands of windows, and all of these share its panes. So each pane is merged once,
and the merges of all windows together have a limit, since records wait for a query.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import Any

from wallaroo.timing.panes import Merge, Pane
from wallaroo.timing.window_spec import Window

PARTS_MAX = 50_000
"""Panes of all windows that one query merges; a merge usually takes about a microsecond."""


class KeyParts:
    """The panes that have a key."""

    def __init__(self, panes: Mapping[int, Pane], key: Any, merge: Merge | None) -> None:
        self._panes = panes
        self._key = key
        self._merge = merge
        self._starts = sorted(start for start, pane in panes.items() if _has(pane, key))
        self._accumulators: dict[int, Any] = {}

    def is_in(self, window: Window) -> bool:
        """Return whether the key is in a window; this calls no function of the user."""
        first = bisect_left(self._starts, window.start)
        return first < len(self._starts) and self._starts[first] < window.end

    def in_each(self, windows: Iterable[Window]) -> list[tuple[Window, Any]]:
        """Return the first of these windows with the accumulators of the key there.

        Only the first one may need more than ``PARTS_MAX`` panes.
        """
        found: list[tuple[Window, Any]] = []
        part_count = 0
        for window in windows:
            starts = self._starts_in(window)
            part_count += len(starts)
            if found and part_count > PARTS_MAX:
                break
            found.append((window, self._merged(map(self._in_pane, starts))))
        return found

    def _starts_in(self, window: Window) -> list[int]:
        first = bisect_left(self._starts, window.start)
        return self._starts[first : bisect_left(self._starts, window.end, first)]

    def _merged(self, accumulators: Iterable[Any]) -> Any:
        if self._merge is None:
            (accumulator,) = accumulators
            return accumulator
        return reduce(self._merge, accumulators)

    def _in_pane(self, start: int) -> Any:
        if start not in self._accumulators:
            self._accumulators[start] = self._panes[start].folded_key(self._key)
        return self._accumulators[start]


def _has(pane: Pane, key: Any) -> bool:
    """Return whether the newest layer with a key has an accumulator, and not that it is gone."""
    newest_first = [pane.live, *(layer.accumulators for layer in reversed(pane.layers))]
    return next((each[key] for each in newest_first if key in each), None) is not None
