"""Windows that follow the calendar of a time zone.

A bound is the moment at which a day, week or month begins on the clocks of the zone. A day on which
clocks change has 23 or 25 hours. Hours are different: they have 60 minutes also when the clock on
the wall shows one of them twice, and only a change of the minutes, as on Lord Howe Island, makes
one shorter.

Zones come from the system or from the package ``tzdata``. A bound is looked up when a record leaves
its pane, so their cost does not matter.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from wallaroo.timing.window_spec import CalendarUnit, CalendarWindows, Window

_SECOND_NS = 1_000_000_000
_HOUR_NS = 3_600 * _SECOND_NS
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


class CalendarGrid:
    """The hours, days, weeks or months of a time zone; each is a pane and a window."""

    panes_of_window = 1

    def __init__(self, windows: CalendarWindows) -> None:
        """Raises ``ZoneInfoNotFoundError`` or ``ValueError`` for a zone that is not known."""
        self._zone = ZoneInfo(windows.zone)
        self._unit = windows.unit

    def pane(self, time: int) -> tuple[int, int]:
        """Return start and end of the pane of a time."""
        if self._unit is CalendarUnit.HOUR:
            return self._hour(time)
        first, following = _SPANS[self._unit]
        start_date = first(self._local(time).date())
        start = self._start(start_date)
        while time < start:
            # The clock was put back over midnight: this is the first time of a date that is twice.
            start_date = first(start_date - _DAY)
            start = self._start(start_date)
        end = self._start(following(start_date))
        while end <= time:
            start_date = following(start_date)
            start, end = end, self._start(following(start_date))
        return start, end

    def ends(self, start: int) -> tuple[int, int]:
        """Return the end of the window that starts here, twice."""
        _, end = self.pane(start)
        return end, end

    def windows(self, start: int) -> Sequence[Window]:
        """Return the one window that starts here."""
        return [Window(*self.pane(start))]

    def panes(self, window: Window) -> Iterable[int]:
        """Return the start of the window."""
        return [window.start]

    def oldest_open(self, time: int) -> int:
        """Return the start of the window of a time."""
        return self.pane(time)[0]

    def _local(self, time: int) -> datetime:
        return (_EPOCH + timedelta(microseconds=time // 1_000)).astimezone(self._zone)

    def _start(self, day: date) -> int:
        """Return the moment at which a date begins."""
        midnights = [
            datetime(day.year, day.month, day.day, tzinfo=self._zone, fold=fold) for fold in (0, 1)
        ]
        # The later one: if midnight is skipped, it is the moment of the change; if it is there
        # twice, the date before is over only at the second one.
        return max((midnight - _EPOCH) // _SECOND for midnight in midnights) * _SECOND_NS

    def _hour(self, time: int) -> tuple[int, int]:
        minutes_ns = self._minutes_ns(time)
        start = time - (time + minutes_ns) % _HOUR_NS
        end = start + _HOUR_NS
        if self._minutes_ns(start) != minutes_ns:
            start = self._change(start, time)
        if self._minutes_ns(end - _SECOND_NS) != minutes_ns:
            end = self._change(time, end)
        return start, end

    def _minutes_ns(self, time: int) -> int:
        """Return by how much full hours are off those of UTC."""
        offset = self._local(time).utcoffset()
        assert offset is not None
        return offset // _SECOND * _SECOND_NS % _HOUR_NS

    def _change(self, before: int, after: int) -> int:
        """Return when the minutes change between two times; clocks change at full seconds."""
        low, high = before // _SECOND_NS, -(-after // _SECOND_NS)
        earlier = self._minutes_ns(before)
        while high - low > 1:
            middle = (low + high) // 2
            if self._minutes_ns(middle * _SECOND_NS) == earlier:
                low = middle
            else:
                high = middle
        return high * _SECOND_NS


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _first_of_month(day: date) -> date:
    return day.replace(day=1)


def _next_month(day: date) -> date:
    return (day + timedelta(days=31)).replace(day=1)


def _day(day: date) -> date:
    return day


def _next_day(day: date) -> date:
    return day + _DAY


def _next_week(day: date) -> date:
    return day + timedelta(days=7)


_SPANS: dict[CalendarUnit, tuple[Callable[[date], date], Callable[[date], date]]] = {
    CalendarUnit.DAY: (_day, _next_day),
    CalendarUnit.WEEK: (_monday, _next_week),
    CalendarUnit.MONTH: (_first_of_month, _next_month),
}
"""The first day of the span of a day, and the first of the next one."""
