"""Functions that are called at a time, with one timer of the event loop for the earliest."""

import heapq
import itertools
from collections.abc import Callable
from typing import Generic, TypeVar

Run = Callable[[], object]
CallLater = Callable[[float, Run], object]
"""Calls a function after a delay in seconds."""
Time = TypeVar("Time", int, float)


class Alarms:
    """The alarms of one worker.

    ``call_later`` is that of the event loop; it is asked only if an alarm is earlier than all
    others. What it calls too late, or too early, does no harm.
    """

    def __init__(self, clock: Callable[[], float], call_later: CallLater) -> None:
        self._clock = clock
        self._call_later = call_later
        self._waiting: list[tuple[float, int, Run]] = []
        self._numbers = itertools.count()
        self._timer_s: float | None = None
        """When the earliest timer rings; ``None`` if there is none."""

    def at(self, when_s: float, run: Run) -> None:
        """Call ``run`` once, at this time of the clock or soon after it."""
        heapq.heappush(self._waiting, (when_s, next(self._numbers), run))
        self._set_timer(self._clock())

    def clear(self) -> None:
        """Forget all alarms."""
        self._waiting.clear()

    def _set_timer(self, now_s: float) -> None:
        if not self._waiting:
            return
        when_s = self._waiting[0][0]
        if self._timer_s is None or when_s < self._timer_s:
            self._timer_s = when_s
            self._call_later(max(when_s - now_s, 0.0), lambda: self._ring(when_s))

    def _ring(self, timer_s: float) -> None:
        if self._timer_s != timer_s:
            return  # an earlier timer was set after this one, and has taken its place
        self._timer_s = None
        now_s = self._clock()
        due: list[Run] = []
        while self._waiting and self._waiting[0][0] <= now_s:
            due.append(heapq.heappop(self._waiting)[2])
        self._set_timer(now_s)
        for run in due:
            run()


class EarliestAlarm(Generic[Time]):
    """One alarm for several times that are waited for, of which the earliest may change.

    ``set_alarm(when, run)`` is ``Alarms.at``, or does the same for times of another clock. ``ring``
    is called at the earliest time, and sets the next alarm if there is one.
    """

    def __init__(
        self, set_alarm: Callable[[Time, Run], object], ring: Callable[[], object]
    ) -> None:
        self._set_alarm: Callable[[Time, Run], object] = set_alarm
        self._ring = ring
        self._when: Time | None = None

    def set(self, when: Time) -> None:
        """Ring at this time, unless an alarm rings before that."""
        if self._when is None or when < self._when:
            self._when = when
            self._set_alarm(when, lambda: self._rings(when))

    def _rings(self, when: Time) -> None:
        # An earlier alarm may have been set after this one, and has taken its place.
        if self._when == when:
            self._when = None
            self._ring()
