"""Metrics by OpenTelemetry's protocol, as a receiver of it gets them."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)

from tests.wallaroo.operators.mesh import stateless_plan
from wallaroo.metrics.histogram import Histogram
from wallaroo.metrics.nodes import Nodes
from wallaroo.metrics.report import Report
from wallaroo.metrics.run_counts import RunCounts
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.control import Measured
from wallaroo_workers.initializer.metrics.observatory import Observatory
from wallaroo_workers.initializer.metrics.otlp import OtlpExport


class Collector:
    """Takes exports over HTTP and keeps the last value of each metric, by its attributes."""

    def __init__(self) -> None:
        collector = self
        self.paths: list[str] = []
        self.values: dict[tuple[Any, ...], float] = {}
        self.services: set[str] = set()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                collector.paths.append(self.path)
                collector.take(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def take(self, data: bytes) -> None:
        request = ExportMetricsServiceRequest.FromString(data)
        for resource in request.resource_metrics:
            names = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.services.add(names["service.name"])
            for metric in (each for scope in resource.scope_metrics for each in scope.metrics):
                content = metric.sum if metric.HasField("sum") else metric.gauge
                for point in content.data_points:
                    labels = sorted((a.key, a.value.string_value) for a in point.attributes)
                    self.values[metric.name, *labels] = (
                        point.as_double if point.HasField("as_double") else point.as_int
                    )

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


def report(came: int) -> Report:
    latency = Histogram()
    latency.record(2_000_000_000, came)
    return Report(
        pid=7,
        unix_s=0.0,
        latency={"p": latency},
        process={"cpu_s": 1.5, "rss_bytes": 4096},
    )


async def test_what_is_measured_reaches_a_collector(collector: Collector) -> None:
    plan = stateless_plan(str.upper)
    counts = RunCounts(Nodes(plan).by_pipeline, is_durable=False)
    counts.totals.reported("w1", 1, 1, {"w1": {"p/source": [5, 4, 1, 0]}})
    observatory = Observatory(plan, counts)
    export = OtlpExport(collector.address, "letters", observatory.prometheus_families)
    measured = Measured(Epoch(1), WorkerName("w1"), report(5).to_wire())
    observatory.on_frame(WorkerName("w1"), measured)
    await export.close()
    assert set(collector.paths) == {"/v1/metrics"}
    assert collector.services == {"letters"}
    place = [("pipeline", "p"), ("step", "source"), ("worker", "w1")]
    assert collector.values["wallaroo_records_in", *place] == 5
    assert collector.values["wallaroo_records_out", *place] == 4
    assert collector.values["wallaroo_records_filtered", *place] == 1
    worker = ("worker", "w1")
    assert collector.values["wallaroo_worker_cpu_seconds", worker] == 1.5
    # The former name, for one minor version.
    assert collector.values["wallaroo_worker_resident_bytes", worker] == 4096
    assert collector.values["wallaroo_worker_resident_memory_bytes", worker] == 4096
    assert collector.values["wallaroo_latency_seconds_count", ("pipeline", "p"), worker] == 5
    assert collector.values["wallaroo_latency_seconds_sum", ("pipeline", "p"), worker] == 10
