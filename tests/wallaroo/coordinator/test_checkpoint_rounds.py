"""The stories of checkpoints: taken, failed, late, and the last one of a stop."""

from typing import Any

import pytest

from tests.wallaroo.coordinator.story import (
    WORKERS,
    A,
    B,
    Story,
    assigned,
    committing,
    ended,
    manifest_order,
    running,
    saving,
    sources_of,
)
from wallaroo.coordinator.checkpoint_orders import CARRY_ON
from wallaroo.coordinator.checkpoint_round import CheckpointRound, RoundPhase
from wallaroo.coordinator.coordinator import Phase
from wallaroo.coordinator.events import CheckpointDue, Received, Send, StopRequested
from wallaroo.errors import ClusterError
from wallaroo.names import CheckpointId, Epoch
from wallaroo.wire.control import (
    Abandon,
    Checkpoint,
    Committed,
    Drain,
    Drained,
    NotSaved,
    Saved,
    SourcesEnded,
)

E1 = Epoch(1)
ROUND_8, ROUND_9 = CheckpointId(8), CheckpointId(9)


def drained(**changes: Any) -> Story:
    """Return a cluster whose workers have done all that a stop asks of them."""
    story = running(**changes)
    story.go_to(Phase.DRAINING)
    assert story.save() == [manifest_order(story)]
    assert story.drained() == []
    return story


def test_the_story_does_not_repeat_what_manifests_are_made_of() -> None:
    story = saving()
    long = ["part " * 1000]
    for worker in WORKERS:
        story.step(Received(worker, Saved(E1, ROUND_8, long)))
    assert "WriteManifest(checkpoint=8" in story.coordinator.story[-1]
    assert max(map(len, story.coordinator.story)) < 1000


# CheckpointRound that succeed


def test_a_cluster_begins_in_the_epoch_and_from_the_manifest_that_it_is_given() -> None:
    story = Story(is_durable=True, epoch=Epoch(5), manifest=7)
    assert {name: each.incarnation for name, each in story.played.items()} == {A: 5, B: 5}
    assign = assigned(story.join(A, B))
    assert (assign.epoch, assign.manifest) == (5, 7)
    assert assign.members == [["a", 5, "a:5"], ["b", 5, "b:5"]]


def test_barriers_begin_above_those_of_the_run_before() -> None:
    story = running(last_barrier=CheckpointId(9))
    assert story.due() == [Send(WORKERS, Checkpoint(E1, CheckpointId(10)))]


def test_a_checkpoint_is_committed_once_all_have_saved_and_its_manifest_is_written() -> None:
    story = running()
    assert story.due() == [Send(WORKERS, Checkpoint(E1, ROUND_8))]
    assert story.save(A) == []
    assert story.save(B) == [manifest_order(story)]
    assert story.written(8) == [Send(WORKERS, Committed(E1, ROUND_8, 8, oldest_number=6))]
    assert story.due() == [Send(WORKERS, Checkpoint(E1, ROUND_9))]
    assert story.phase is Phase.RUNNING


@pytest.mark.parametrize("story_of", [saving, committing])
def test_there_is_one_checkpoint_at_a_time(story_of: Any) -> None:
    assert story_of().due() == []


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.RUNNING])
def test_a_checkpoint_is_taken_of_a_running_cluster_only(phase: Phase) -> None:
    story = Story(is_durable=True)
    if phase is Phase.STOPPED:
        story.step(StopRequested())
    else:
        story.go_to(phase)
    assert story.due() == []


# CheckpointRound that fail


def test_one_worker_that_cannot_save_ends_the_round_and_not_the_run() -> None:
    story = saving()
    story.save(A)
    assert story.fail_to_save(B) == [Send(WORKERS, Abandon(E1, ROUND_8))]
    assert story.phase is Phase.RUNNING
    assert story.due() == [Send(WORKERS, Checkpoint(E1, ROUND_9))]
    # What was saved for the last round does not count for this one.
    assert story.save(B) == []
    assert story.save(A) == [manifest_order(story)]


def test_a_manifest_that_is_not_written_ends_the_round_and_not_the_run() -> None:
    story = committing()
    assert story.not_written() == [Send(WORKERS, Abandon(E1, ROUND_8))]
    assert story.due() == [Send(WORKERS, Checkpoint(E1, ROUND_9))]
    assert story.save() == [manifest_order(story)]
    # The manifest's number is its own: the one of the failed round is still free.
    assert story.written(8) == [Send(WORKERS, Committed(E1, ROUND_9, 8, 6))]


def test_people_are_told_why_a_checkpoint_failed_and_what_becomes_of_it() -> None:
    story = saving()
    (told,) = story.announced(Received(B, NotSaved(E1, ROUND_8, "no space left")))
    assert (told.event, told.is_warning) == ("checkpoint.failed", True)
    assert told.values["reason"] == "worker b: no space left"
    assert told.values["failed_in_a_row"] == 1


def test_a_round_that_two_cannot_save_has_failed_once() -> None:
    story = running(checkpoint_failures_max=2)
    for _ in range(2):
        story.due()
        assert story.fail_to_save(A) != []
        assert story.fail_to_save(B) == []
    assert story.phase is Phase.RUNNING


def test_failures_in_a_row_beyond_the_limit_end_the_run() -> None:
    story = running(checkpoint_failures_max=2)
    story.due()
    assert story.fail_to_save(A) == [Send(WORKERS, Abandon(E1, ROUND_8))]
    story.due()
    story.save()
    assert story.not_written() == [Send(WORKERS, Abandon(E1, ROUND_9))]
    story.due()
    error = ended(story.fail_to_save(B))
    assert isinstance(error, ClusterError)
    assert str(error).startswith("3 checkpoints in a row could not be saved: worker b: no space")
    assert error.hint == CARRY_ON


def test_the_very_first_failure_ends_the_run_where_none_is_allowed() -> None:
    error = ended(saving(checkpoint_failures_max=0).fail_to_save(A))
    assert "1 checkpoints in a row" in str(error)


def test_a_committed_checkpoint_begins_the_count_of_failures_anew() -> None:
    story = running(checkpoint_failures_max=1)
    for number in (8, 9, 10):
        story.due()
        story.fail_to_save(A)
        story.due()
        story.save()
        assert story.written(number) != []
    assert story.phase is Phase.RUNNING


def test_without_a_limit_any_number_of_checkpoints_may_fail() -> None:
    story = running()
    for _ in range(50):
        story.due()
        story.fail_to_save(A)
    assert story.phase is Phase.RUNNING


# Frames that come late


@pytest.mark.parametrize("late", [Saved(E1, ROUND_8, ["late"]), NotSaved(E1, ROUND_8, "late")])
def test_what_is_said_of_an_older_round_changes_nothing(late: Saved | NotSaved) -> None:
    story = saving()
    story.fail_to_save(B)
    assert story.say(A, late) == []
    story.due()
    for worker in WORKERS:
        assert story.say(worker, late) == []
    assert story.save() == [manifest_order(story)]
    assert story.say(A, late) == []
    assert story.written(8) == [Send(WORKERS, Committed(E1, ROUND_9, 8, 6))]


def test_a_worker_that_failed_after_all_had_saved_comes_too_late() -> None:
    story = committing()
    assert story.fail_to_save(A) == []
    assert story.written(8) == [Send(WORKERS, Committed(E1, ROUND_8, 8, 6))]


# Stops


def test_a_stop_saves_a_last_checkpoint() -> None:
    story = running()
    assert story.go_to(Phase.DRAINING) == [Send(WORKERS, Drain(E1, ROUND_8))]
    assert story.save() == [manifest_order(story)]
    assert story.written(8) == [Send(WORKERS, Committed(E1, ROUND_8, 8, 6))]
    assert story.drained(A) == []
    assert ended(story.coordinator.step(Received(B, Drained(E1, ROUND_8)))[-2:]) is None


def test_a_stop_waits_for_the_last_manifest_when_all_have_drained() -> None:
    story = drained()
    committed, *end = story.written(8)
    assert committed == Send(WORKERS, Committed(E1, ROUND_8, 8, 6))
    assert ended(end) is None


def test_a_stop_while_a_checkpoint_is_saved_gives_that_one_up() -> None:
    story = saving()
    story.save(A)
    assert story.step(StopRequested()) == [
        Send(WORKERS, Abandon(E1, ROUND_8)),
        Send(WORKERS, Drain(E1, ROUND_9)),
    ]
    assert story.say(B, Saved(E1, ROUND_8, ["late"])) == []
    assert story.say(A, NotSaved(E1, ROUND_8, "late")) == []
    assert story.save() == [manifest_order(story)]
    story.drained()
    assert ended(story.written(8)[1:]) is None


def test_a_stop_while_a_manifest_is_written_waits_for_it() -> None:
    story = committing()
    assert story.step(StopRequested()) == []
    assert story.written(8) == [
        Send(WORKERS, Committed(E1, ROUND_8, 8, 6)),
        Send(WORKERS, Drain(E1, ROUND_9)),
    ]
    assert story.phase is Phase.DRAINING


def test_a_stop_goes_on_when_the_manifest_that_it_waits_for_is_not_written() -> None:
    story = committing()
    story.step(StopRequested())
    assert story.not_written() == [
        Send(WORKERS, Abandon(E1, ROUND_8)),
        Send(WORKERS, Drain(E1, ROUND_9)),
    ]


def test_sources_that_end_while_a_manifest_is_written_stop_the_cluster_after_it() -> None:
    story = committing(sources=sources_of(A))
    assert story.say(A, SourcesEnded(E1, [0], [])) == []
    assert story.written(8)[1:] == [Send(WORKERS, Drain(E1, ROUND_9))]


@pytest.mark.parametrize("limit", [None, 5])
def test_a_stop_whose_checkpoint_cannot_be_saved_ends_with_what_to_do(limit: int | None) -> None:
    story = running(checkpoint_failures_max=limit)
    story.go_to(Phase.DRAINING)
    error = ended(story.fail_to_save(A))
    assert str(error).startswith("the last checkpoint cannot be saved: worker a: no space left")
    assert error is not None
    assert error.hint == CARRY_ON


def test_a_stop_whose_manifest_is_not_written_ends_with_what_to_do() -> None:
    error = ended(drained().not_written())
    assert str(error).startswith("the last checkpoint cannot be saved: the store is away")


@pytest.mark.parametrize("story_of", [running, saving, committing, drained])
def test_the_second_stop_is_at_once_and_loses_nothing(story_of: Any) -> None:
    story = story_of()
    if story.phase is Phase.RUNNING:
        story.step(StopRequested())
    error = ended(story.step(StopRequested()))
    assert str(error) == f"stopped immediately; {CARRY_ON}"
    assert story.written(8) == []
    assert story.not_written() == []
    assert story.step(CheckpointDue()) == []


# CheckpointRound by themselves


def test_a_round_is_saved_when_every_worker_has_said_so_once() -> None:
    rounds = CheckpointRound(CheckpointId(3))
    assert rounds.begin() == 4
    assert rounds.saved(A, [1], 2) is None
    assert rounds.saved(A, [2], 2) is None
    assert rounds.saved(B, [3], 2) == {A: [2], B: [3]}
    assert rounds.phase is RoundPhase.COMMITTING


def test_every_round_has_a_number_of_its_own_and_begins_with_nothing() -> None:
    rounds = CheckpointRound(CheckpointId(0))
    numbers = []
    for end in (rounds.failed, rounds.give_up, rounds.committed, rounds.failed):
        numbers.append(rounds.begin())
        assert rounds.saved(A, [], 2) is None
        end()
        assert rounds.phase is RoundPhase.IDLE
    assert numbers == [1, 2, 3, 4]
    assert rounds.failures_in_a_row == 1


def test_a_round_that_is_given_up_is_nobodys_failure() -> None:
    rounds = CheckpointRound(CheckpointId(0))
    for end in (rounds.failed, rounds.give_up, rounds.failed):
        rounds.begin()
        end()
    assert rounds.failures_in_a_row == 2


def test_a_second_round_while_one_is_under_way_is_a_fault_of_ours() -> None:
    rounds = CheckpointRound(CheckpointId(0))
    rounds.begin()
    with pytest.raises(AssertionError):
        rounds.begin()


def test_all_know_whether_somebody_was_replaying_a_journal() -> None:
    story = running()
    story.due()
    story.say(A, Saved(E1, ROUND_8, ["a"], False))
    story.say(B, Saved(E1, ROUND_8, ["b"], True))
    assert story.written(8) == [Send(WORKERS, Committed(E1, ROUND_8, 8, 6, False))]
    story.due()
    story.save()
    assert story.written(9) == [Send(WORKERS, Committed(E1, ROUND_9, 9, 7, True))]
