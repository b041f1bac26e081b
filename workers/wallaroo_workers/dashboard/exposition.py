"""``/metrics``: what Prometheus scrapes."""

from collections.abc import Iterable

from aiohttp import web
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from wallaroo_workers.dashboard.freshness import Fresh
from wallaroo_workers.dashboard.observed import Observed


class _Families(Collector):
    """Hands the cluster's metrics to prometheus-client, which writes them."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def collect(self) -> Iterable[Metric]:
        """Return the metrics as they are now."""
        return self._observed.prometheus_families()

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering does not collect metrics to learn their names."""
        return ()


class Exposition:
    """Answers scrapes in the format that the scraper asks for."""

    def __init__(self, observed: Observed) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Families(observed))
        self._answers: dict[str, Fresh] = {}

    async def serve(self, request: web.Request) -> web.Response:
        """Answer ``GET /metrics``."""
        encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        answer = self._answers.setdefault(content_type, Fresh(lambda: encode(self._registry)))
        return web.Response(body=answer.get(), headers={"Content-Type": content_type})
