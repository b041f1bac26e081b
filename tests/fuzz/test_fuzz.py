"""Unauthenticated peers at every port of running clusters; ``make fuzz`` has many more."""

from pathlib import Path

import pytest

from tests.fuzz.run import GROWTH_MB_MAX, fuzzed

INPUTS = 600
SEED = 20_261_122


@pytest.mark.cluster
@pytest.mark.parametrize("kind", ["tls", "original"])
def test_unauthenticated_peers_at_every_port_have_no_effect(tmp_path: Path, kind: str) -> None:
    report, growth = fuzzed(tmp_path, kind, INPUTS, SEED)
    assert sum(report.by_port.values()) == INPUTS
    assert max(growth.values()) < GROWTH_MB_MAX
