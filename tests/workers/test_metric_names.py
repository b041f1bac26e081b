"""Metrics are named as Prometheus wants it, and renamed ones are exported under both names."""

import re

import pytest
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from tests.docs.pages import page
from tests.workers.dashboard.exported import exported_families
from wallaroo_workers.initializer.metrics.prometheus import FORMER_NAMES

FAMILIES = {family.name: family for family in exported_families()}
CURRENT = {
    name: family
    for name, family in FAMILIES.items()
    if not family.documentation.startswith("Deprecated: ")
}
BASE_UNITS = ("_seconds", "_bytes", "_ratio")
OTHER_UNITS = re.compile(r"_(?:ms|us|ns|milli\w+|micro\w+|minutes|hours|kb|mb|mib|percent)(?:_|$)")


@pytest.mark.parametrize("family", CURRENT.values(), ids=lambda family: family.name)
def test_a_name_follows_the_conventions(family: Metric) -> None:
    assert re.fullmatch(r"wallaroo(?:_[a-z]+)+", family.name)
    assert not OTHER_UNITS.search(family.name)
    if family.type == "histogram":
        assert family.name.endswith(BASE_UNITS)
    for unit in BASE_UNITS:
        assert unit not in family.name.removesuffix(unit)
    for sample in family.samples:
        assert sample.name.endswith("_total") == (family.type == "counter")
        assert "le" not in sample.labels or family.type == "histogram"


@pytest.mark.parametrize("family", CURRENT.values(), ids=lambda family: family.name)
def test_a_help_text_is_one_sentence(family: Metric) -> None:
    assert re.fullmatch(r"[A-Z1].*\.", family.documentation)


@pytest.mark.parametrize(("name", "former"), FORMER_NAMES.items())
def test_a_renamed_metric_has_the_same_samples_under_both_names(name: str, former: str) -> None:
    assert FAMILIES[name].type == FAMILIES[former].type
    assert FAMILIES[former].documentation == f"Deprecated: use {name}."

    def values(family: Metric) -> list[tuple[str, dict[str, str], float]]:
        return [
            (sample.name.removeprefix(family.name), sample.labels, sample.value)
            for sample in family.samples
        ]

    assert values(FAMILIES[former]) == values(FAMILIES[name]) != []


def test_both_names_are_in_what_prometheus_reads() -> None:
    class Collector:
        def collect(self) -> list[Metric]:
            return exported_families()

    registry = CollectorRegistry()
    registry.register(Collector())
    text = generate_latest(registry).decode()
    read = {family.name for family in text_string_to_metric_families(text)}
    assert {*FORMER_NAMES, *FORMER_NAMES.values()} <= read
    assert "wallaroo_user_seconds_total{" in text
    assert "wallaroo_function_seconds_total{" in text
    assert "wallaroo_step_seconds_bucket{" in text
    assert "wallaroo_function_duration_seconds_bucket{" in text


def named_on(name: str) -> set[str]:
    """Return the families that the tables of a page of the guide name."""
    cells = " ".join(cell for row in page(name).rows() for cell in row)
    named = set()
    for first, *others in re.findall(r"`(wallaroo_\w+)`((?:, `…\w+`)*)", cells):
        group = first[: -len("in_total")]
        short = re.findall(r"…_(\w+)", others[0])
        named |= {first, *(f"{group}{each}" for each in short)}
    return {each.removesuffix("_total") for each in named}


def test_the_guide_lists_each_metric() -> None:
    assert named_on("metrics.md") == {*CURRENT}


def test_the_page_on_upgrading_lists_each_deprecated_metric() -> None:
    deprecated = {*FAMILIES} - {*CURRENT}
    assert deprecated <= named_on("upgrading.md")
    assert {*FORMER_NAMES} <= named_on("upgrading.md")
