"""Decides which processes have sent no heartbeat for too long.

A process that is suspended, or whose machine hangs, keeps its connections open: no error occurs,
and every other process waits for it. The caller asks at regular intervals. If the caller itself
was held up, heartbeats may be waiting unread, so each process gets its full time again.
"""

from wallaroo.names import Epoch, WorkerName


class Liveness:
    """The last heartbeat of each process. Times are seconds from any origin."""

    def __init__(self, timeout_s: float, asked_every_s: float) -> None:
        self._timeout_s = timeout_s
        self._held_up_s = 3 * asked_every_s
        self._heard_s: dict[tuple[WorkerName, Epoch], float] = {}
        self._asked_s: float | None = None

    def heard(self, worker: WorkerName, incarnation: Epoch, now_s: float) -> None:
        """Note that the process of ``worker`` that was started in this epoch is alive."""
        self._heard_s[worker, incarnation] = now_s

    def disconnected(self, worker: WorkerName) -> None:
        """Forget the processes of this worker: they have ended."""
        for key in [key for key in self._heard_s if key[0] == worker]:
            del self._heard_s[key]

    def silent(self, now_s: float) -> list[tuple[WorkerName, Epoch, float]]:
        """Return each process that has been silent for too long, and for how long; once each."""
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
