"""What a run starts with: who reads which split, by the plan, the members and the checkpoint."""

from typing import Any

from tests.wallaroo.coordinator.story import A, B, C
from tests.wallaroo.ingest.orders import AT, orders_plan
from wallaroo.checkpoint.manifest import WorkerCheckpoint
from wallaroo.checkpoint.split_positions import to_share
from wallaroo.coordinator.manifest_writer import StartingPoint
from wallaroo.coordinator.membership import RunRules, starting_membership
from wallaroo.names import CheckpointId, Epoch, WorkerName


def share(worker: WorkerName, *splits: str) -> WorkerCheckpoint:
    positions = to_share(dict.fromkeys(splits, AT))
    return WorkerCheckpoint(worker, [], [], {0: positions}, [], {})


def owners(workers: tuple[WorkerName, ...], *shares: WorkerCheckpoint) -> dict[str, WorkerName]:
    facts: dict[str, Any] = {"maps": [], "needed_input": None, "counts": {}, "outbox_cuts": ()}
    start = StartingPoint(
        epoch=Epoch(2),
        manifest=7,
        last_barrier=CheckpointId(7),
        workers=workers,
        lineage="",
        shares=shares,
        **facts,
    )
    membership = starting_membership(orders_plan(), workers, [""], start, RunRules())
    return membership.splits.owners[0]


def test_splits_stay_with_the_workers_that_saved_them() -> None:
    assert owners((A, B), share(A, "x"), share(B, "y")) == {"x": A, "y": B}


def test_splits_of_workers_that_are_no_members_go_to_those_that_are() -> None:
    found = owners((B, C), share(A, "x", "y"), share(B, "z", "u"))
    assert (found["z"], found["u"], found["x"], found["y"]) == (B, B, C, C)


def test_a_run_without_a_checkpoint_knows_no_splits() -> None:
    membership = starting_membership(orders_plan(), (A, B), [""], None, RunRules())
    assert membership.splits.owners == {0: {}}
