"""The lines that scripts of the original wait for, said when the cluster comes to that point.

They follow from the phase, the epoch and the members that anybody can ask for; nothing inside the
cluster knows of them.
"""

import sys
from dataclasses import dataclass

from wallaroo_workers.external.view import RUNNING

INITIALIZED = "Application has successfully initialized."
READY = "|~~ INIT PHASE III: Application is ready to work! ~~|"
JOINED = "***Successfully joined cluster!***"
RESIZED = "AUTOSCALE: Autoscale is complete."
RECOVERED = "|~~ - Recovery COMPLETE - ~~|"
RESUMED = "~~~Resuming message processing.~~~"


@dataclass(frozen=True, slots=True)
class Situation:
    """The cluster at one moment."""

    phase: str
    epoch: int
    workers: tuple[str, ...]


class Lines:
    """What one process has to say; ``came`` gets the situation again and again."""

    def __init__(
        self, name: str, *, is_successor: bool, is_durable: bool, is_joining: bool
    ) -> None:
        self._name = name
        self._is_successor = is_successor
        self._is_durable = is_durable
        self._is_joining = is_joining and not is_successor
        self._last: Situation | None = None
        """When the application ran last."""

    def needs_key_count(self, now: Situation) -> bool:
        """Whether ``came`` will tell how many keys were restored."""
        if not (self._runs_in(now) and self._is_durable):
            return False
        if self._last is None:
            return self._is_successor
        return now.epoch != self._last.epoch and now.workers == self._last.workers

    def came(self, now: Situation, key_count: int = 0) -> list[str]:
        """Return what is to be said now that the cluster is in this situation."""
        last = self._last
        if not self._runs_in(now) or now == last:
            return []
        self._last = now
        if last is None:
            return [*self._beginning(key_count), READY, INITIALIZED]
        if now.epoch == last.epoch and now.workers == last.workers:
            return []
        if now.workers == last.workers:
            return [*self._recovery(key_count), RESUMED, READY]
        new = [worker for worker in now.workers if worker not in last.workers]
        return [RESIZED, RESUMED, *(f"***New worker {each} added to cluster!***" for each in new)]

    def _runs_in(self, now: Situation) -> bool:
        return now.phase == RUNNING and self._name in now.workers

    def _beginning(self, key_count: int) -> list[str]:
        if self._is_successor:
            return [*self._recovery(key_count), RESUMED]
        return [JOINED, RESIZED, RESUMED] if self._is_joining else []

    def _recovery(self, key_count: int) -> list[str]:
        if not self._is_durable:
            return []
        replayed = f"RESILIENCE: Replayed {key_count} entries from recovery log file."
        return [replayed, RECOVERED]


def say(line: str) -> None:
    """Write a line to standard output, for scripts that wait for it."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()
