"""What the page needs of a cluster: how it is, how it was, and a way to ask it for something."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from prometheus_client import Metric

Progress = Callable[[dict[str, Any]], None]


class Observed(Protocol):
    """Tells how the cluster is. All three answer at once, from memory."""

    def snapshot(self) -> dict[str, Any]:
        """Return the cluster as it is now, in values that JSON knows; see docs/monitoring.md."""

    def history(self, window_s: float) -> dict[str, Any]:
        """Return series of the last ``window_s`` seconds, all as long as the one called ``t``."""

    def prometheus_families(self) -> Iterable[Metric]:
        """Return all metrics, as prometheus-client's families."""


class Steering(Protocol):
    """The one way to ask the cluster for something; the page has no other."""

    async def handle(
        self, method: str, params: dict[str, Any], progress: Progress
    ) -> dict[str, Any]:
        """Carry out a request; call ``progress`` with facts meanwhile.

        Raises ``ClusterError`` where the cluster refuses, ``ConfigError`` for wrong parameters.
        """
