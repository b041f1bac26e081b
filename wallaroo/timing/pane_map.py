"""The panes of one state by their starts, and what they have together in a window."""

from typing import Any

from wallaroo.timing.grids import Grid
from wallaroo.timing.panes import Merge, Pane
from wallaroo.timing.window_spec import Window


class PaneMap(dict[int, Pane]):
    """Panes by start."""

    def __init__(self, grid: Grid, merge: Merge | None) -> None:
        super().__init__()
        self._grid = grid
        self._merge = merge

    def of(self, window: Window) -> list[Pane]:
        """Return the panes of a window, in order."""
        return [self[start] for start in self._grid.panes(window) if start in self]

    def keys_of(self, window: Window) -> set[Any]:
        """Return all keys that have an accumulator in a window."""
        return {key for pane in self.of(window) for key in pane.all_keys()}

    def key_in(self, key: Any, window: Window, due_at: int | None = None) -> Any:
        """Return the accumulator of a key in a window, or ``None``; without what was late at
        ``due_at``."""
        total = None
        for pane in self.of(window):
            accumulator = pane.folded_key(key, due_at)
            if total is None:
                total = accumulator
            elif accumulator is not None:
                assert self._merge is not None
                total = self._merge(total, accumulator)
        return total
