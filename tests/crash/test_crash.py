"""A few rounds of ``make crash-test``, the same ones each time."""

from pathlib import Path

import pytest

from tests.crash.havoc import Round

pytestmark = pytest.mark.cluster


@pytest.mark.parametrize("seed", [1, 2])
def test_every_record_counts_once_whatever_is_killed(tmp_path: Path, seed: int) -> None:
    round_ = Round(tmp_path, seed, kill_count=5)
    assert len([*round_.run()]) == 5
    assert round_.record_count > 0
