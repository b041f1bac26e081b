"""A failure of a simulation tells what each worker did last, and invariants are asserted."""

import pytest

from tests.simulation.seeds import run_seed
from wallaroo.runtime.engine import Engine
from wallaroo.testing import SimulationError


def test_a_worker_whose_sources_do_not_wait_is_found_by_its_invariants(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Engine, "hold_sources", lambda _: None)
    with pytest.raises(SimulationError, match=r"(?s)AssertionError.*the last steps of w1-") as it:
        for seed in range(10):
            run_seed(seed)
    assert "received Checkpoint(" in str(it.value)
