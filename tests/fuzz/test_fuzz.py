"""Strangers at every port of a running cluster; ``make fuzz`` has many more of them."""

from pathlib import Path

import pytest

from tests.fuzz.run import GROWTH_MB_MAX, fuzzed

INPUTS = 2_000
SEED = 20_261_122


@pytest.mark.cluster
def test_strangers_at_every_port_have_no_effect(tmp_path: Path) -> None:
    report, growth = fuzzed(tmp_path, INPUTS, SEED)
    assert sum(report.by_port.values()) == INPUTS
    assert max(growth.values()) < GROWTH_MB_MAX
