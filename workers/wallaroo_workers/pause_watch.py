"""Says when sources have been paused for long, and why."""

FIRST_TOLD_AFTER_S = 5.0
TOLD_EVERY_S = 10.0


class PauseWatch:
    """Asked now and then; answers when it is time for a line in the log."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._told_s = 0.0

    def look(self, now_s: float, *, is_paused: bool) -> float | None:
        """Return for how long sources have been paused, when that is to be told now."""
        if not is_paused:
            self._since_s = None
            return None
        if self._since_s is None:
            self._since_s = now_s
            self._told_s = now_s + FIRST_TOLD_AFTER_S - TOLD_EVERY_S
        if now_s - self._told_s < TOLD_EVERY_S:
            return None
        self._told_s = now_s
        return now_s - self._since_s
