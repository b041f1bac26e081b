"""When sources have to pause, so that memory stays bounded however slow a sink is.

Links are always read; two workers that each waited for the other to read would wait for ever. The
throttle is at the sources: a worker whose backlog passes the high-water mark tells all others, and
every source that can reach it stops reading until the low-water mark.
"""

from wallaroo.names import WorkerName

HIGH_WATER_BYTES = 8 << 20
LOW_WATER_BYTES = 4 << 20

NARROW_PART = 64
"""The marks for the inbox of a worker that soon has to wait for it are so many times lower."""


class Pressure:
    """What one worker knows of its own backlog and of the others'."""

    def __init__(
        self, high_water_bytes: int = HIGH_WATER_BYTES, low_water_bytes: int = LOW_WATER_BYTES
    ) -> None:
        self._high_water_bytes = high_water_bytes
        self._low_water_bytes = low_water_bytes
        self._is_narrow = False
        self.is_under_pressure = False
        self._others: set[WorkerName] = set()

    @property
    def must_pause(self) -> bool:
        """Whether this worker's sources have to stop reading."""
        return self.is_under_pressure or bool(self._others)

    @property
    def causes(self) -> list[WorkerName]:
        """The other workers that asked for the pause."""
        return sorted(self._others)

    def narrow(self) -> None:
        """Keep the inbox small from now on: records are soon to wait until it is empty."""
        self._is_narrow = True

    def widen(self) -> None:
        """The inbox may be as large as ever."""
        self._is_narrow = False

    def is_little(self, inbox_bytes: int) -> bool:
        """Say whether an inbox is as small as ``narrow`` is to make it."""
        return inbox_bytes <= self._high_water_bytes // NARROW_PART

    def backlog_changed(self, backlog_bytes: int, inbox_bytes: int = 0) -> bool:
        """Say whether the others have to hear of a change (see ``is_under_pressure``).

        ``inbox_bytes`` is the part of the backlog that waits to be processed here.
        """
        limit = self._low_water_bytes if self.is_under_pressure else self._high_water_bytes
        was_under_pressure = self.is_under_pressure
        is_too_much = self._is_narrow and inbox_bytes > limit // NARROW_PART
        self.is_under_pressure = backlog_bytes > limit or is_too_much
        return self.is_under_pressure is not was_under_pressure

    def other_changed(self, worker: WorkerName, *, is_under_pressure: bool) -> None:
        """Another worker spoke. One whose link is lost counts as free: its queue speaks for it."""
        if is_under_pressure:
            self._others.add(worker)
        else:
            self._others.discard(worker)
