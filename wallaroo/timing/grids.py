"""The windows that are the same for all keys, cut into panes.

A **pane** is a span of time that every window has as a whole or not at all. Tumbling windows are
panes themselves; sliding windows are put together from panes of ``gcd(size, every)``. A record is
added to one pane, however many windows it is in. Times and ends are exclusive at the top: a record
at the end of a window belongs to the next one.
"""

from collections.abc import Iterable, Sequence
from math import gcd
from typing import Protocol

from wallaroo.timing.calendars import CalendarGrid
from wallaroo.timing.instants import BEFORE_ALL, END
from wallaroo.timing.window_spec import CalendarWindows, FixedWindows, PaneWindows, Window


class Grid(Protocol):
    """Where panes begin and end, and which windows have them."""

    @property
    def panes_of_window(self) -> int:
        """Return how many panes a window has at most."""
        ...

    def pane(self, time: int) -> tuple[int, int]:
        """Return start and end of the pane of a time."""
        ...

    def ends(self, start: int) -> tuple[int, int]:
        """Return the first and the last end of a window that has the pane at ``start``."""
        ...

    def windows(self, start: int) -> Sequence[Window]:
        """Return the windows that have the pane at ``start``, in order."""
        ...

    def panes(self, window: Window) -> Iterable[int]:
        """Return the starts of the panes of a window, in order."""
        ...

    def oldest_open(self, time: int) -> int:
        """Return the first pane of the window that is the first to end after ``time``."""
        ...


class FixedGrid:
    """Windows of one size, one every so often."""

    def __init__(self, windows: FixedWindows) -> None:
        self._size = windows.size_ns
        self._every = windows.every_ns
        self._offset = windows.offset_ns
        self._width = gcd(self._size, self._every)

    @property
    def panes_of_window(self) -> int:
        """Return how many panes a window has at most."""
        return self._size // self._width

    def pane(self, time: int) -> tuple[int, int]:
        """Return start and end of the pane of a time."""
        # Floor by Python's modulo, so times before 1970 are ordinary times.
        start = time - (time - self._offset) % self._width
        return start, start + self._width

    def ends(self, start: int) -> tuple[int, int]:
        """Return the first and the last end of a window that has the pane at ``start``."""
        last_start = start - (start - self._offset) % self._every
        room = self._size - self._width - (start - last_start)
        first_start = last_start - room // self._every * self._every
        return first_start + self._size, last_start + self._size

    def windows(self, start: int) -> Sequence[Window]:
        """Return the windows that have the pane at ``start``, in order."""
        first, last = self.ends(start)
        return [Window(end - self._size, end) for end in range(first, last + 1, self._every)]

    def panes(self, window: Window) -> Iterable[int]:
        """Return the starts of the panes of a window, in order."""
        return range(window.start, window.end, self._width)

    def oldest_open(self, time: int) -> int:
        """Return the first pane of the window that is the first to end after ``time``."""
        return time - (time - self._offset - self._size) % self._every + self._every - self._size


class GlobalGrid:
    """One window, and one pane, for all times."""

    panes_of_window = 1

    def pane(self, time: int) -> tuple[int, int]:
        """Return start and end of the only pane."""
        return BEFORE_ALL, END

    def ends(self, start: int) -> tuple[int, int]:
        """Return the end of time, twice."""
        assert start == BEFORE_ALL
        return END, END

    def windows(self, start: int) -> Sequence[Window]:
        """Return the only window."""
        return [Window(start, END)]

    def panes(self, window: Window) -> Iterable[int]:
        """Return the only pane."""
        return [window.start]

    def oldest_open(self, time: int) -> int:
        """Return the only pane."""
        return self.pane(time)[0]


def grid_of(windows: PaneWindows) -> Grid:
    """Return the grid of these windows."""
    if isinstance(windows, FixedWindows):
        return FixedGrid(windows)
    return CalendarGrid(windows) if isinstance(windows, CalendarWindows) else GlobalGrid()
