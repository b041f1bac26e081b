"""Decides when an orderly stop has taken too long and the cluster is stopped immediately.

A stop waits for the workers to deliver everything, and a sink that accepts nothing makes it wait
for ever. The original's operators cannot force a stop by asking twice, so their runs have a limit.
"""

from collections.abc import Sequence

from wallaroo.coordinator.events import Announce
from wallaroo.names import WorkerName


class StopDeadline:
    """The limit of one run; it runs from the moment a stop is requested."""

    def __init__(self, timeout_s: float | None) -> None:
        """``None`` is no limit."""
        self._timeout_s = timeout_s
        self._has_started = False

    def starts(self, *, is_stopping: bool) -> float | None:
        """Return after how many seconds the deadline passes, once, when the stop is requested."""
        if self._has_started or not is_stopping:
            return None
        self._has_started = True
        return self._timeout_s

    def passed(self, waiting_for: Sequence[WorkerName]) -> Announce:
        """The stop has taken too long; return what to tell people."""
        workers = ", ".join(waiting_for) or "none"
        values = {"workers": workers, "lost": "what was not delivered"}
        following = "all processes end at once"
        return Announce("cluster.stop_timed_out", values, following, is_warning=True)
