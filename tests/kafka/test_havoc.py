"""Random kills between two topics: no result is lost, doubled, or of a state that was given up."""

from pathlib import Path

import pytest

from tests.kafka.broker import Broker
from tests.kafka.havoc import Havoc

pytestmark = [pytest.mark.kafka, pytest.mark.cluster, pytest.mark.slow, pytest.mark.timeout(900)]

KILLS = 25


@pytest.mark.parametrize("seed", range(8))
def test_each_result_is_there_once(kafka: Broker, tmp_path: Path, seed: int) -> None:
    havoc = Havoc(kafka, tmp_path, seed)
    havoc.run(KILLS)
    print(f"seed {seed}: {dict(havoc.kills)}, {havoc.chains.verdict()}")  # noqa: T201
