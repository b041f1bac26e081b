"""What a state computation gets as its third argument: the key, times, timers and alarms."""

from datetime import timedelta
from typing import Any, Generic, Protocol

from wallaroo.durations import Duration, duration_ns
from wallaroo.timing.instants import BEFORE_ALL, INSTANT_MAX
from wallaroo.type_variables import KeyT


class KeyTimes(Protocol):
    """The timers, or the alarms, of one step on one worker."""

    def set(self, key: Any, name: str, time: int) -> None:
        """Set a timer of a key, or move it."""
        ...

    def cancel(self, key: Any, name: str) -> bool:
        """Cancel a timer of a key; return whether there was one."""
        ...


class DeletesKeys(Protocol):
    """The state of the step."""

    def delete(self, key: Any) -> bool:
        """Delete a key, with its timers and alarms."""
        ...


class Context(Generic[KeyT]):
    """The third argument of a state computation, and the second one of its timers and alarms.

    It is valid during the call. For type checkers, the key of a ``Context[str]`` is a string.
    """

    __slots__ = ("_alarms", "_state", "_timers", "key", "read_time", "time", "watermark")

    def __init__(self, timers: KeyTimes, alarms: KeyTimes, state: DeletesKeys) -> None:
        self.key: KeyT
        """The key of the state."""
        self.time: int = 0
        """The time of the record, or of the timer, in nanoseconds since 1970 UTC."""
        self.watermark: int = BEFORE_ALL
        """The clock of the state: what is due before it has fired. Before the first record it is
        lower than all times."""
        self.read_time: int = 0
        """When the record was read from its source; the same after a recovery. For a timer or an
        alarm: when it was given."""
        self._timers = timers
        self._alarms = alarms
        self._state = state

    def set_timer(self, name: str, at: int) -> None:
        """Call the function of ``on_timer(name)`` once event time has reached ``at``.

        ``at`` is nanoseconds since 1970 UTC.
        A key has one timer of each name: setting it again moves it. One that is due already is
        called once this call has ended.
        """
        if at.__class__ is not int or not at < INSTANT_MAX:
            at = _checked_time(at)
        self._timers.set(self.key, name, at)

    def set_alarm(self, name: str, after: Duration) -> None:
        """Call the function of ``on_alarm(name)`` once ``after`` has passed on the wall clock,
        counted from ``read_time``."""
        after_ns = duration_ns("after of set_alarm()", after)
        self._alarms.set(self.key, name, _checked_time(self.read_time + after_ns))

    def cancel(self, name: str) -> bool:
        """Cancel the timer or the alarm of this name; return whether there was one."""
        return self._timers.cancel(self.key, name) or self._alarms.cancel(self.key, name)

    def remove_state(self) -> None:
        """Delete the state of the key, and cancel its timers and alarms.

        A computation that returns ``wallaroo.DELETE`` does the same.
        """
        self._state.delete(self.key)


def note_read_time(context: Context, read_ns: int) -> None:
    """Set when the records of the next calls were read."""
    context.read_time = read_ns


def note_watermark(context: Context, clock: int) -> None:
    """Move the clock that a context shows."""
    context.watermark = max(context.watermark, clock)


def _checked_time(at: Any) -> int:
    """Return a time that is an integer of another class; raise an error for anything else."""
    if isinstance(at, timedelta):
        raise TypeError("at of set_timer() is a timedelta; give a time, such as ctx.time + it")
    if isinstance(at, bool) or not isinstance(at, int):
        raise TypeError(
            f"at of set_timer() is of type {type(at).__name__}; give nanoseconds since 1970 UTC, "
            "such as ctx.time + wallaroo.minutes(5)"
        )
    if not at < INSTANT_MAX:
        raise ValueError(f"a timer is set for {at}, which is after 2116; is its unit right?")
    return int(at)
