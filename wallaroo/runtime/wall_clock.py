"""The wall clock of one worker, for alarms, for keys that expire by it, and for what contexts show.

It makes things due, and nothing more: they run like all that is due, between slices of records.
"""

from collections.abc import Callable

from wallaroo.operators.keyed_times import KeyedTimes
from wallaroo.runtime.alarms import CallLater, EarliestAlarm, Run


class WallClock:
    """The wall clock for the state computations of one dataflow."""

    def __init__(
        self, keyed: KeyedTimes, call_later: CallLater, wake_engine: Callable[[], None]
    ) -> None:
        """``wake_engine`` is called if something is due."""
        self._keyed = keyed
        self._call_later = call_later
        self._alarm = EarliestAlarm(self._set_alarm, self._rings)
        self._wake_engine = wake_engine

    def arm(self) -> None:
        """Ask to be called when the wall clock makes the next thing due."""
        when_ns = self._keyed.next_wall_ns()
        if when_ns is not None:
            self._alarm.set(when_ns)

    def _set_alarm(self, when_ns: int, run: Run) -> None:
        self._call_later(max(when_ns - self._keyed.wall_ns(), 0) / 1e9, run)

    def _rings(self) -> None:
        self._keyed.advance_wall()
        if not self._keyed.due_state:
            # The timer of the loop may ring a little too early.
            self.arm()
        self._wake_engine()

    def restore(self) -> None:
        """Go on with what the states have, after a restore or when owners have changed."""
        self._keyed.rebuild()
        self._keyed.advance_wall()
        self.arm()
