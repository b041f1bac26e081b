"""When sources have to pause, so that memory stays bounded however slow a sink is.

Links are always read, because two workers that each wait for the other to read would wait forever.
Sources are paused instead. A worker whose backlog passes the high-water mark reports that to all
others, and all sources stop reading until the backlog is below the low-water mark.
"""

from wallaroo.names import WorkerName

HIGH_WATER_BYTES = 8 << 20
LOW_WATER_BYTES = 4 << 20

NARROW_PART = 64
"""Before a barrier that holds the sources, the marks for the inbox are this many times lower."""


class Pressure:
    """What one worker knows about its own backlog and the others'."""

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
        """The other workers whose backlogs are too large."""
        return sorted(self._others)

    def narrow(self) -> None:
        """Keep the inbox small from now on, because records will soon wait until it is empty."""
        self._is_narrow = True

    def widen(self) -> None:
        """Allow the inbox its normal size again."""
        self._is_narrow = False

    def is_small(self, inbox_bytes: int) -> bool:
        """Return whether an inbox is as small as ``narrow`` makes it."""
        return inbox_bytes <= self._high_water_bytes // NARROW_PART

    def backlog_changed(self, backlog_bytes: int, inbox_bytes: int = 0) -> bool:
        """Note the size of the backlog; return whether ``is_under_pressure`` has changed by it.

        ``inbox_bytes`` is the part of the backlog that waits to be processed on this worker.
        """
        limit = self._low_water_bytes if self.is_under_pressure else self._high_water_bytes
        was_under_pressure = self.is_under_pressure
        is_too_much = self._is_narrow and inbox_bytes > limit // NARROW_PART
        self.is_under_pressure = backlog_bytes > limit or is_too_much
        return self.is_under_pressure is not was_under_pressure

    def other_changed(self, worker: WorkerName, *, is_under_pressure: bool) -> None:
        """Note the pressure of another worker.

        A worker whose link is lost counts as free, since this worker's backlog has its frames.
        """
        if is_under_pressure:
            self._others.add(worker)
        else:
            self._others.discard(worker)
