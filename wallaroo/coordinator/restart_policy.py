"""Decides when a lost worker is restarted, and when the run gives up."""

from collections import deque

from wallaroo.back_off import doubled_s

BACK_OFF_FIRST_S = 0.1
BACK_OFF_MAX_S = 5.0
RESTARTS_MAX = 10
WINDOW_S = 60.0
WINDOW_AFTER_A_HANG_S = 600.0
"""It takes a while to find that a process hangs, so a minute has no room for ten such losses."""


class RestartPolicy:
    """A delay that doubles with each loss in the window, and a limit on these losses."""

    def __init__(self, restarts_max: int = RESTARTS_MAX, window_s: float = WINDOW_S) -> None:
        self.restarts_max = restarts_max
        self.window_s = window_s
        self._losses: deque[float] = deque()

    @property
    def has_hung(self) -> bool:
        """Whether a hang was among the losses of this run."""
        return self.window_s == WINDOW_AFTER_A_HANG_S

    def hung(self) -> None:
        """Remember losses for longer from now on, because a connector hung in the process."""
        self.window_s = WINDOW_AFTER_A_HANG_S

    def lost(self, now_s: float) -> float | None:
        """Count a loss at ``now_s``; return the seconds to wait, or ``None`` to give up."""
        while self._losses and self._losses[0] <= now_s - self.window_s:
            self._losses.popleft()
        if len(self._losses) >= self.restarts_max:
            return None
        self._losses.append(now_s)
        return doubled_s(len(self._losses), BACK_OFF_FIRST_S, BACK_OFF_MAX_S)
