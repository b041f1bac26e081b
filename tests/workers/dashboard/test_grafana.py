"""The dashboard and the alert rules use metrics that a cluster exports, by their labels."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.workers.dashboard.exported import exported_families

MONITORING = Path(__file__).parents[3] / "examples" / "monitoring"
DASHBOARD = MONITORING / "grafana-dashboard.json"
METRIC = re.compile(r"\bwallaroo_\w+")
GROUPED = re.compile(r"by \(([^)]*)\)[^w]*(?:rate\()?(wallaroo_\w+)")


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def expressions() -> list[str]:
    alerts = re.findall(r"^ *expr: (.+)$", (MONITORING / "alerts.yml").read_text(), re.MULTILINE)
    return [*(target["expr"] for panel in panels() for target in panel["targets"]), *alerts]


@pytest.fixture(scope="module")
def labels() -> dict[str, set[str]]:
    """Return labels by the name of the sample, those of deprecated metrics left out."""
    return {
        sample.name: {*sample.labels, "job"}
        for family in exported_families()
        if not family.documentation.startswith("Deprecated: ")
        for sample in family.samples
    }


def test_there_are_panels_for_all_that_matters() -> None:
    assert len(panels()) > 15
    assert len({panel["id"] for panel in panels()}) == len(panels())


@pytest.mark.parametrize("expression", expressions())
def test_an_expression_uses_current_metrics_and_their_labels(
    expression: str, labels: dict[str, set[str]]
) -> None:
    for name in METRIC.findall(expression):
        assert name in labels
    for grouped, name in GROUPED.findall(expression):
        assert {label.strip() for label in grouped.split(",")} <= labels[name]


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels():
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells, panel["title"]
        taken |= cells
