"""What all stores of windows that the clock fires have: the clock, late records, and results."""

from collections import Counter, deque
from typing import Any

from wallaroo.timing.instants import BEFORE_ALL, END
from wallaroo.timing.window_firing import Fired
from wallaroo.timing.window_spec import ResultKind, WindowSpec


class WindowStore:
    """The windows of one state on one worker."""

    def __init__(self, spec: WindowSpec) -> None:
        self._aggregation = spec.aggregation
        self._rules = spec.firing
        self._ready: deque[Fired] = deque()
        """Results that records have caused by themselves."""
        self._side: list[tuple[Any, Any, int]] = []
        self.late_count = 0
        self.fired_counts: Counter[ResultKind] = Counter()
        self.clock = BEFORE_ALL
        self.fired = BEFORE_ALL
        """All results with a time before this are given."""

    def restore_clock(self, clock: int, fired: int) -> None:
        """Set the clock of a checkpoint."""
        self.clock, self.fired = clock, fired

    def take_clock(self, clock: int, fired: int) -> None:
        """Go on with keys of another worker, which has fired up to ``fired``."""
        self.advance(max(self.clock, clock))
        self.fired = min(self.fired, fired)

    def advance(self, clock: int) -> None:
        """Move the clock. What is due then is given by ``fire_some``."""
        raise NotImplementedError

    def take_side(self) -> list[tuple[Any, Any, int]]:
        """Return key, record and time of the late records that go to a pipeline of their own."""
        side, self._side = self._side, []
        return side

    def fire_ready(self) -> Fired | None:
        """Return a result that a record has caused by itself, if there is one."""
        return self._counted(self._ready.popleft()) if self._ready else None

    def _counted(self, fired: Fired) -> Fired:
        """Count results that are given now."""
        self.fired_counts[fired.kind] += len(fired.keys)
        return fired

    def _move_clock(self, clock: int) -> bool:
        """Move the clock; return whether early results are due, if those come by the clock."""
        assert clock >= self.clock, "a clock went back"
        before, self.clock = self.clock, clock
        every_ns = self._rules.early_every_ns
        return every_ns is not None and clock // every_ns > before // every_ns

    @property
    def closed_until(self) -> int:
        """Windows that end here or before are closed: records for them are late."""
        return self.clock - self._rules.delay_ns if self.clock < END else END

    def _has_passed(self, end: int, later_ns: int = 0) -> bool:
        """Return whether a window with this end is due, or was so long ago."""
        return self.clock >= min(end + self._rules.delay_ns + later_ns, END)
