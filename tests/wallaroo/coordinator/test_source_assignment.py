"""The worker of a single-worker source: chosen by the pipeline's name, and kept while it lives."""

from wallaroo.coordinator.source_assignment import EVERY_WORKER, SourceAssignment
from wallaroo.names import WorkerName

MEMBERS = tuple(WorkerName(f"w{number}") for number in range(1, 5))
PIPELINES = tuple(f"pipeline {number}" for number in range(40))


def assignment_among(*members: WorkerName) -> SourceAssignment:
    return SourceAssignment(PIPELINES, ("",) * 4 + ("gone",) * 36).among(members)


def test_a_source_that_every_worker_runs_is_assigned_to_none() -> None:
    assert assignment_among(*MEMBERS).workers[:4] == (EVERY_WORKER,) * 4


def test_sources_spread_over_all_members() -> None:
    assert set(assignment_among(*MEMBERS).workers) == {EVERY_WORKER, *MEMBERS}


def test_the_same_members_give_the_same_assignment() -> None:
    assert assignment_among(*MEMBERS) == assignment_among(*MEMBERS)


def test_a_source_stays_with_its_worker_when_others_join_and_leave() -> None:
    before = assignment_among(*MEMBERS)
    members = (*MEMBERS[1:], WorkerName("w5"))
    after = before.among(members)
    for old, new in zip(before.workers, after.workers, strict=True):
        assert new == old if old != MEMBERS[0] else new in members
