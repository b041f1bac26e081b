"""The simulation finds mistakes of sinks that are exactly once."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from tests.simulation.once import run_once
from tests.simulation.planted import Patch, Plant, first_failure
from wallaroo.checkpoint.departure import Departure
from wallaroo.checkpoint.manifest import OutboxBatch
from wallaroo.names import CheckpointId, SinkId
from wallaroo.testing import targets
from wallaroo.testing.targets import Targets
from wallaroo.worker import outboxes, worker_sinks
from wallaroo.worker.outbox import Outbox
from wallaroo.worker.slots import slot_name

SEEDS = range(100)
"""One of these shows each bug, however the code around it changes."""


def without_open(patch: Patch) -> None:
    """A recovery asks for the number, and does not exclude what the dead worker has sent."""

    def ask(self: Targets, slot: str) -> tuple[int, int | None]:
        known = self._slots.setdefault(slot, targets._Slot())
        return known.fence, known.number

    patch.setattr(Targets, "open", ask)


def without_lineage(patch: Patch) -> None:
    """Two stores of checkpoints use the same slots."""

    def without(application: str, _: str, sink: SinkId, worker: str) -> str:
        return slot_name(application, "", sink, worker)

    patch.setattr(worker_sinks, "slot_name", without)
    patch.setattr(targets, "slot_name", without)


def with_numbers_of_rounds(patch: Patch) -> None:
    """Batches have the number of their barrier, which an older checkpoint counts from again."""
    made = Outbox._made

    def numbered(self: Outbox, data: bytes, record_count: int) -> None:
        self._next_number = self._last_barrier + 1
        made(self, data, record_count)

    patch.setattr(Outbox, "_made", numbered)


def with_delivery_before_the_manifest(patch: Patch) -> None:
    """Results are written as soon as their objects are durable."""
    is_settled = Outbox.is_settled

    def deliver(self: Outbox) -> bool:
        if not is_settled(self):
            return False
        listed = [*self._uncommitted]
        self.committed(outboxes.NO_LIMIT)
        self._uncommitted = listed
        return True

    patch.setattr(Outbox, "is_settled", deliver)


def without_waiting_for_delivery(patch: Patch) -> None:
    """A share is reported although batches of the checkpoint before are not delivered."""
    patch.setattr(Outbox, "is_settled", Outbox.is_durable)


def with_all_cuts_together(patch: Patch) -> None:
    """Results from before a resize and from after it are delivered together."""

    def no_limit(_: Sequence[CheckpointId]) -> CheckpointId:
        return outboxes.NO_LIMIT

    patch.setattr(outboxes, "_limit", no_limit)


def without_successors_of_batches(patch: Patch) -> None:
    """What a worker that left had in its outbox is in no checkpoint."""
    from_wire = Departure.from_wire

    def bare(value: object) -> Departure:
        return replace(from_wire(value), outbox=[])

    patch.setattr(Departure, "from_wire", bare)


def without_memory_of_abandoned(patch: Patch) -> None:
    """Batches of a checkpoint that failed are forgotten."""

    def forget(self: Outbox, checkpoint: CheckpointId) -> None:
        kept = [each for each in self._uncommitted if each.content.cut != checkpoint]
        self._uncommitted = kept

    patch.setattr(Outbox, "abandon", forget)


def without_asking_for_the_number(patch: Patch) -> None:
    """A batch whose answer was lost is written again."""

    def all_missing(batches: Sequence[OutboxBatch], _: int | None) -> list[OutboxBatch]:
        return [*batches]

    patch.setattr(Outbox, "missing", staticmethod(all_missing))


PLANTED: dict[Plant, int] = {
    without_open: 1,
    without_lineage: 9,
    with_numbers_of_rounds: 4,
    with_delivery_before_the_manifest: 0,
    without_waiting_for_delivery: 5,
    with_all_cuts_together: 5,
    without_successors_of_batches: 1,
    without_memory_of_abandoned: 0,
    without_asking_for_the_number: 1,
}
"""Each with a seed that showed it, so that the test need not run all that come before it."""


@pytest.mark.parametrize(
    ("plant", "known"), PLANTED.items(), ids=[plant.__name__ for plant in PLANTED]
)
def test_the_simulation_fails(plant: Plant, known: int, monkeypatch: Patch) -> None:
    assert known in SEEDS
    first_failure(plant, monkeypatch, (known, *SEEDS), run_once)
