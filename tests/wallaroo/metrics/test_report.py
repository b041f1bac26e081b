"""A worker's report on its way to the initializer."""

from typing import Any

import msgpack
import pytest

from wallaroo.metrics.histogram import Histogram
from wallaroo.metrics.report import Report


def histogram_of(*values: int) -> Histogram:
    histogram = Histogram()
    histogram.record_all(values)
    return histogram


def test_a_report_survives_the_wire() -> None:
    report = Report(pid=7, unix_s=1.5)
    report.latency = {"votes": histogram_of(1000, 2000)}
    report.times = {"votes/count": histogram_of(5)}
    report.user_s = {"votes/count": 0.25}
    report.sinks = [{"name": "out", "waiting": 3}]
    packed = msgpack.packb(report.to_wire())
    arrived = Report.from_wire(msgpack.unpackb(packed, strict_map_key=False))
    assert arrived.to_wire() == report.to_wire()
    assert arrived.latency["votes"].count == 2
    assert arrived.sinks == report.sinks


@pytest.mark.parametrize(
    "wire",
    [
        {},
        {"latency": None, "times": {}},
        {"latency": {"votes": "slow"}, "times": {}},
        {"latency": {}, "times": {}, "unheard_of": 1},
    ],
)
def test_anything_else_is_refused(wire: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"report|histogram"):
        Report.from_wire(wire)
