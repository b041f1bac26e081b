"""What the page needs from a cluster: its state, its history, and a way to send requests."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from prometheus_client import Metric

Progress = Callable[[dict[str, Any]], None]


class Observed(Protocol):
    """Describes the cluster. All three methods return immediately, from memory."""

    def snapshot(self) -> dict[str, Any]:
        """Return the state of the cluster in values for JSON; see docs/monitoring.md."""

    def history(self, window_s: float) -> dict[str, Any]:
        """Return series of the last ``window_s`` seconds, all as long as the one called ``t``."""

    def prometheus_families(self) -> Iterable[Metric]:
        """Return all metrics, as prometheus-client's families."""


class Steering(Protocol):
    """The only way in which the page sends requests to the cluster."""

    async def handle(
        self, method: str, params: dict[str, Any], progress: Progress
    ) -> dict[str, Any]:
        """Carry out a request; call ``progress`` with facts meanwhile.

        Raises ``ClusterError`` if the cluster refuses, ``ConfigError`` for wrong parameters.
        """
