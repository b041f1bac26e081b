"""Decides when a long pause of the sources is logged."""

FIRST_LOG_AFTER_S = 5.0
LOG_EVERY_S = 10.0


class PauseWatch:
    """Is polled regularly, and answers when it is time for a line in the log."""

    def __init__(self) -> None:
        self._since_s: float | None = None
        self._logged_s = 0.0

    def poll(self, now_s: float, *, is_paused: bool) -> float | None:
        """Return for how long sources have been paused, if that is to be logged now."""
        if not is_paused:
            self._since_s = None
            return None
        if self._since_s is None:
            self._since_s = now_s
            self._logged_s = now_s + FIRST_LOG_AFTER_S - LOG_EVERY_S
        if now_s - self._logged_s < LOG_EVERY_S:
            return None
        self._logged_s = now_s
        return now_s - self._since_s
