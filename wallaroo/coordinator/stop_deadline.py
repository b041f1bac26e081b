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
        """Set the limit; ``None`` for none."""
        self._timeout_s = timeout_s
        self._has_started = False

    def starts(self, *, is_stopping: bool) -> float | None:
        """Return the seconds until the deadline, once, when a stop is requested; else ``None``."""
        if self._has_started or not is_stopping:
            return None
        self._has_started = True
        return self._timeout_s

    def passed(self, waiting_for: Sequence[WorkerName]) -> Announce:
        """Return the log line for a stop that has taken too long."""
        workers = ", ".join(waiting_for) or "none"
        values = {"workers": workers, "lost": "what was not delivered"}
        following = "all processes end at once"
        return Announce("cluster.stop_timed_out", values, following, is_warning=True)
