"""Sends the metrics of a cluster by OpenTelemetry's protocol, through its own library.

The library exports from its own thread, so it reads a copy that the event loop stores here once a
second. It cannot export histograms that are computed elsewhere, so only their counts and sums are
sent.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from prometheus_client.metrics_core import Metric

from wallaroo.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Observation
    from opentelemetry.sdk.metrics import MeterProvider

EVERY_S = 10.0
SHUTDOWN_S = 5.0
PATH = "/v1/metrics"


class OtlpExport:
    """The export of one run; ``families`` returns those of ``prometheus.families``."""

    def __init__(
        self, endpoint: str, application: str, families: Callable[[], Iterable[Metric]]
    ) -> None:
        self._families = families
        self._latest: dict[str, Metric] = {}
        self.refresh()
        self._provider = _provider(endpoint, application)
        meter = self._provider.get_meter("wallaroo")
        for family in self._latest.values():
            read = self._reader(family.name)
            if family.type == "gauge":
                meter.create_observable_gauge(family.name, [read], description=family.documentation)
            elif family.type == "counter":
                meter.create_observable_counter(
                    family.name, [read], description=family.documentation
                )
            else:
                for part in ("_count", "_sum"):
                    read = self._reader(family.name, family.name + part)
                    meter.create_observable_counter(
                        family.name + part, [read], description=family.documentation
                    )

    def refresh(self) -> None:
        """Store the current numbers for the next export."""
        self._latest = {family.name: family for family in self._families()}

    def _reader(
        self, family: str, sample_name: str | None = None
    ) -> "Callable[[CallbackOptions], list[Observation]]":
        from opentelemetry.metrics import Observation

        def read(_options: "CallbackOptions") -> "list[Observation]":
            return [
                Observation(float(sample.value), dict(sample.labels))
                for sample in self._latest[family].samples
                if sample_name is None or sample.name == sample_name
            ]

        return read

    async def close(self) -> None:
        """Export once more, and stop."""
        self.refresh()
        await asyncio.to_thread(self._provider.shutdown, SHUTDOWN_S * 1000)


def _provider(endpoint: str, application: str) -> "MeterProvider":
    try:
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
    except ImportError as error:
        raise ConfigError(
            "--otlp needs the OpenTelemetry library, which is not installed",
            hint="pip install 'wallaroo-streams[otel]'",
        ) from error
    where = endpoint if endpoint.endswith(PATH) else endpoint.rstrip("/") + PATH
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint=where, timeout=SHUTDOWN_S),
        export_interval_millis=EVERY_S * 1000,
    )
    resource = Resource.create({"service.name": application, "service.namespace": "wallaroo"})
    return MeterProvider([reader], resource=resource, shutdown_on_exit=False)
