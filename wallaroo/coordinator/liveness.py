"""Which workers have given no sign of life for too long.

A process that was stopped, or whose machine hangs, keeps its connections: nothing breaks, and
everybody waits for it. Whoever drives this asks at regular intervals; when it was itself held up it
cannot tell silence from its own deafness, and gives everybody a new chance.
"""

from wallaroo.names import Epoch, WorkerName


class Liveness:
    """When each process was heard of last; times are seconds from any origin."""

    def __init__(self, timeout_s: float, asked_every_s: float) -> None:
        self._timeout_s = timeout_s
        self._held_up_s = 3 * asked_every_s
        self._heard_s: dict[tuple[WorkerName, Epoch], float] = {}
        self._asked_s: float | None = None

    def heard(self, worker: WorkerName, incarnation: Epoch, now_s: float) -> None:
        """The process that was started for ``worker`` at this epoch lives."""
        self._heard_s[worker, incarnation] = now_s

    def disconnected(self, worker: WorkerName) -> None:
        """Processes of this worker are known to have ended."""
        for key in [key for key in self._heard_s if key[0] == worker]:
            del self._heard_s[key]

    def silent(self, now_s: float) -> list[tuple[WorkerName, Epoch, float]]:
        """Return each process that is silent for too long, and for how long; once each."""
        asked_s, self._asked_s = self._asked_s, now_s
        if asked_s is not None and now_s - asked_s > self._held_up_s:
            self._heard_s = dict.fromkeys(self._heard_s, now_s)
        silent = [
            (*key, now_s - heard_s)
            for key, heard_s in self._heard_s.items()
            if now_s - heard_s > self._timeout_s
        ]
        for worker, incarnation, _ in silent:
            del self._heard_s[worker, incarnation]
        return silent
