"""How a process is asked to stop.

A command is asked by signals to its process. A program that runs a cluster inside itself has signal
handlers of its own, which must stay, so it passes `NO_SIGNALS` and calls `stop()`.
"""

from collections.abc import Callable
from typing import Protocol


class StopSignals(Protocol):
    """Delivers requests to stop to one handler at a time."""

    def deliver_to(self, handler: Callable[[], object]) -> None:
        """Call this handler on the running event loop for each request from now on."""
        ...


class _NoSignals:
    """Never delivers a request."""

    def deliver_to(self, handler: Callable[[], object]) -> None:
        """Do nothing."""


NO_SIGNALS: StopSignals = _NoSignals()
