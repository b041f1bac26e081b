"""Sources that are pushed, whatever fails: what was acknowledged is not lost, and counts once."""

from typing import Any

import pytest

import wallaroo
from tests.simulation.planted import Patch, Plant, first_failure
from tests.simulation.pushed_applications import APPLICATIONS, case
from tests.simulation.seeds import run_case, shape_of
from wallaroo.ingest.connection_reader import WaitingRecords
from wallaroo.ingest.pushed_records import PushedRecords
from wallaroo.testing import SimulationResult, simulate

SEEDS = 120
SEEDS_A_TEST = 20
SEEDS_OF_A_BUG = range(100)


def run_seed(seed: int, *, durable: bool = True) -> SimulationResult:
    faults = shape_of(seed, APPLICATIONS)
    return run_case(case(seed), seed, faults, durable=durable)


@pytest.mark.parametrize("first", range(0, SEEDS, SEEDS_A_TEST))
def test_each_record_that_a_broker_pushes_counts_once(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_seed(seed)


@pytest.mark.parametrize("first", range(0, 40, SEEDS_A_TEST))
def test_without_checkpoints_nothing_is_lost_when_members_change(first: int) -> None:
    for seed in range(first, first + SEEDS_A_TEST):
        run_seed(seed, durable=False)


def acknowledged_when_received(patch: Patch) -> None:
    """A record is acknowledged before it is in the journal."""
    received = PushedRecords.received

    def at_once(self: PushedRecords, record: Any, tag: Any, *others: Any) -> None:
        received(self, record, tag, *others)
        self._ports.safe([tag])

    patch.setattr(PushedRecords, "received", at_once)


def acknowledged_before_it_is_durable(patch: Patch) -> None:
    """A record is acknowledged while the journal has it in memory only."""

    def without_sync(self: PushedRecords) -> None:
        if self._piece.is_journaled and self._unsafe:
            tags, self._unsafe = self._unsafe, []
            self._ports.safe(tags)

    patch.setattr(PushedRecords, "_check_journaled", without_sync)


def kept_in_a_rewind(patch: Patch) -> None:
    """What the journal will deliver again is processed, too."""

    def again(self: WaitingRecords) -> None:
        if self.has_records and self.is_journaled:
            self._engine.source_ready(self)

    patch.setattr(WaitingRecords, "rewind", again)


@pytest.mark.parametrize(
    "bug",
    [acknowledged_when_received, acknowledged_before_it_is_durable, kept_in_a_rewind],
    ids=lambda bug: bug.__name__,
)
def test_a_planted_bug_is_found(bug: Plant, monkeypatch: Patch) -> None:
    first_failure(bug, monkeypatch, SEEDS_OF_A_BUG, run_seed)


def test_the_payloads_of_a_source_with_a_decoder_are_bytes() -> None:
    with pytest.raises(wallaroo.WallarooParameterError) as caught:
        simulate(APPLICATIONS["everywhere"](), {"mail": [b"1:1", "1:2"]}, seed=1)
    assert caught.value.mistakes == (
        "payload 1 of the input of pipeline 'mail' is a str; call encode() on it",
    )
    with pytest.raises(wallaroo.WallarooParameterError) as caught:
        simulate(APPLICATIONS["once"](), {"mail": 5}, seed=1)  # type: ignore[dict-item]
    assert caught.value.mistakes == (
        "the input of pipeline 'mail' is an int; give a list of records",
    )
