"""Decides when the initializer and the agents of a home are started again, and when a run is over.

The initializer's exit status says what to do:

| status | |
|---|---|
| 0, 4, 5 | the run is over: it was stopped, its input has ended, or too many records failed |
| 2 | the run is over: a mistake stays a mistake, however often it is started |
| 1, or killed | started again if the application was ready once; otherwise over with status 1 |

A run that fails again and again, without being ready for a minute in between, is over with
status 1.

Without a lease the run outlives the command that started it. With one, the run is stopped in order
when that command was not heard for so long: nobody would look at it any more.

Times are seconds from any origin.
"""

import enum
import math

from wallaroo.homes.fleet import pause_s
from wallaroo.statuses import ExitStatus

FAILURES_MAX = 10
"""After more failures in a row the run is over."""
STEADY_S = 60.0
"""After being ready for so long, the next failure counts as the first."""
RETRIED = frozenset({ExitStatus.FAILED, ExitStatus.BROKEN, ExitStatus.STUCK})


class Act(enum.Enum):
    """What to do with the initializer."""

    START = enum.auto()
    STOP = enum.auto()
    """Stop it in order; a second time: immediately."""


class Supervisor:
    """The life of one run's initializer."""

    def __init__(self, now_s: float, *, was_ready: bool, lease_s: float = math.inf) -> None:
        """``was_ready``: an earlier manager may have seen the application ready."""
        self._was_ready = was_ready
        self._lease_s = lease_s
        self._heard_s = now_s
        self._runs = False
        self._is_stopping = False
        self._stops_sent = 0
        self._stops_wanted = 0
        self._failures = 0
        self._ready_s: float | None = None
        self._start_s = now_s
        self.status: int | None = None
        """The exit status of the run, once it is over."""

    @property
    def is_ready(self) -> bool:
        """Whether the application is ready."""
        return self._ready_s is not None

    def heard(self, now_s: float) -> None:
        """Note that the command that started the run is there."""
        self._heard_s = now_s

    def stop(self) -> None:
        """Stop the run in order; at the second call immediately."""
        self._is_stopping = True
        self._stops_wanted += 1

    def mistaken(self) -> bool:
        """Note that an agent ended with status 2; return whether this ends the run.

        A host that is started later may have other code. Once the application was ready, that ends
        only this host.
        """
        if self._was_ready or self.status is not None:
            return False
        self.status = ExitStatus.MISTAKE
        self._is_stopping = True
        self._stops_wanted += 1
        return True

    def ready(self, now_s: float) -> None:
        """Note that the application is ready."""
        self._was_ready = True
        if self._ready_s is None:
            self._ready_s = now_s

    def decide(self, now_s: float) -> Act | None:
        """Return what to do with the initializer now."""
        if self._runs:
            if not self._stops_wanted and now_s - self._heard_s > self._lease_s:
                self.stop()
            if self._stops_sent < self._stops_wanted:
                self._stops_sent += 1
                return Act.STOP
            return None
        if self._is_stopping and self.status is None:
            self.status = ExitStatus.DONE
        if self.status is not None or now_s < self._start_s:
            return None
        self._runs = True
        return Act.START

    @property
    def is_over(self) -> bool:
        """Whether the run is over, and its initializer has ended."""
        return self.status is not None and not self._runs

    def ended(self, status: int, now_s: float) -> None:
        """Note the end of the initializer; a negative status is the signal that killed it."""
        self._runs = False
        ready_s, self._ready_s = self._ready_s, None
        if self.status is not None:
            return
        may_retry = status < 0 or status in RETRIED
        is_steady = ready_s is not None and now_s - ready_s >= STEADY_S
        self._failures = 1 if is_steady else self._failures + 1
        is_tired = self._failures > FAILURES_MAX
        if not may_retry:
            self.status = status
        elif self._is_stopping or not self._was_ready or is_tired:
            self.status = ExitStatus.FAILED
        else:
            self._start_s = now_s + pause_s(self._failures)


class AgentRestarts:
    """When the agent of one host is started again."""

    def __init__(self) -> None:
        self._failures = 0

    def ended(self, status: int, ran_s: float) -> float | None:
        """Return the pause before the next start; ``None`` if the agent is not started again.

        An agent that has lost its initializer (status 3) is started as soon as there is another.
        """
        if status in (ExitStatus.DONE, ExitStatus.MISTAKE):
            return None
        if status == ExitStatus.NO_CLUSTER or ran_s >= STEADY_S:
            self._failures = 0
            return 0.0
        self._failures += 1
        return pause_s(self._failures)
