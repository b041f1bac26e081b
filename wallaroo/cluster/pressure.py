"""When sources have to pause, so that memory stays bounded however slow a sink is.

Links are always read; two workers that each waited for the other to read would wait for ever. The
throttle is at the sources: a worker whose backlog passes the high-water mark tells all others, and
every source that can reach it stops reading until the low-water mark.
"""

from wallaroo.names import WorkerName

HIGH_WATER_BYTES = 8 << 20
LOW_WATER_BYTES = 4 << 20


class Pressure:
    """What one worker knows of its own backlog and of the others'."""

    def __init__(
        self, high_water_bytes: int = HIGH_WATER_BYTES, low_water_bytes: int = LOW_WATER_BYTES
    ) -> None:
        self._high_water_bytes = high_water_bytes
        self._low_water_bytes = low_water_bytes
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

    def backlog_changed(self, backlog_bytes: int) -> bool:
        """Say whether the others have to hear of a change (see ``is_under_pressure``)."""
        limit = self._low_water_bytes if self.is_under_pressure else self._high_water_bytes
        was_under_pressure = self.is_under_pressure
        self.is_under_pressure = backlog_bytes > limit
        return self.is_under_pressure is not was_under_pressure

    def other_changed(self, worker: WorkerName, *, is_under_pressure: bool) -> None:
        """Another worker spoke. One whose link is lost counts as free: its queue speaks for it."""
        if is_under_pressure:
            self._others.add(worker)
        else:
            self._others.discard(worker)
