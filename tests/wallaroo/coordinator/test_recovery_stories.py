"""The stories of losses with checkpoints on: all workers go back, whatever was under way."""

from typing import Any

import pytest

from tests.wallaroo.coordinator.played_worker import OUTLINE
from tests.wallaroo.coordinator.story import (
    WORKERS,
    A,
    B,
    C,
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
from wallaroo.coordinator.coordinator import Phase
from wallaroo.coordinator.events import (
    ManifestWritten,
    Publish,
    Received,
    Send,
    StartWorker,
    StopRequested,
    WorkerLost,
)
from wallaroo.errors import ClusterError
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.wire.control import (
    Checkpoint,
    ControlFrame,
    Drain,
    Drained,
    Join,
    NotSaved,
    Open,
    Opened,
    Ready,
    Rewind,
    Saved,
    SourcesEnded,
)

E1, E2, E3, E4 = map(Epoch, range(1, 5))
THREE = (A, B, C)
RECOVERING = [Phase.FORMING, Phase.CONNECTING, Phase.OPENING]


def test_a_loss_sends_all_back_to_the_last_checkpoint() -> None:
    story = running()
    assert story.lose(B) == [
        Send((A,), Rewind(E2)),
        StartWorker(B, E2, is_restart=True),
    ]
    assert story.phase is Phase.FORMING
    assert story.coordinator.waiting_for == [A, B]
    assert story.join(A) == []
    assign = assigned(story.join(B))
    assert (assign.epoch, assign.manifest) == (2, 7)
    assert assign.members == [["a", 2, "a:2"], ["b", 2, "b:2"]]
    assert story.all_say(Ready(E2)) == [Send(WORKERS, Open(E2))]
    assert story.all_say(Opened(E2)) == [Publish(E2, is_again=True)]


def test_all_go_back_to_the_newest_committed_checkpoint() -> None:
    story = committing()
    story.written(8)
    story.lose(A)
    assert assigned(story.join(A, B)).manifest == 8


def test_a_cluster_of_one_goes_back_alone() -> None:
    story = running(workers=(A,))
    assert StartWorker(A, E2, is_restart=True) in story.lose(A)
    assert assigned(story.join(A)).manifest == 7
    assert story.go_to(Phase.RUNNING) == [Publish(E2, is_again=True)]


def test_people_are_told_that_nothing_is_lost_and_where_all_go_back_to() -> None:
    told = running().announced(WorkerLost(B, E1, "killed"))
    assert [(each.event, each.is_warning) for each in told] == [("worker.lost", True)]
    assert told[0].values["lost"] == "nothing"
    assert told[0].next == "all workers go back to checkpoint 7"


@pytest.mark.parametrize("phase", [Phase.FORMING, Phase.CONNECTING])
def test_a_loss_before_the_sources_are_open_ends_the_start(phase: Phase) -> None:
    story = Story(is_durable=True)
    story.go_to(phase)
    error = ended(story.lose(B))
    assert "before the application was ready" in str(error)
    assert isinstance(error, ClusterError)
    assert error.hint.endswith("run the same command again; nothing is lost")


def test_no_restart_ends_the_run_with_the_first_loss() -> None:
    error = ended(running(may_restart=False).lose(A))
    assert "--no-restart is set" in str(error)
    assert error is not None
    assert "the same command continues" in error.hint


# While a checkpoint is under way


def test_a_loss_gives_up_the_checkpoint_that_is_saved() -> None:
    story = saving()
    story.save(A)
    story.lose(B)
    for late in (Saved(E1, CheckpointId(8), ["late"]), NotSaved(E1, CheckpointId(8), "late")):
        assert story.say(A, late) == []
    assert assigned(story.join(A, B)).manifest == 7
    story.go_to(Phase.RUNNING)
    assert story.due() == [Send(WORKERS, Checkpoint(E2, CheckpointId(9)))]
    assert story.save(B) == []
    assert story.save(A) == [manifest_order(story)]


def test_losses_are_no_failures_of_checkpoints() -> None:
    story = running(checkpoint_failures_max=0)
    for _ in range(3):
        story.due()
        story.lose(B)
        story.go_to(Phase.RUNNING)
    assert story.phase is Phase.RUNNING


@pytest.mark.parametrize("is_written", [True, False])
def test_nobody_is_told_where_to_go_back_to_while_a_manifest_is_written(is_written: bool) -> None:
    story = committing()
    story.lose(B)
    assert story.join(A, B) == []
    assert story.phase is Phase.FORMING
    # No worker is in the epoch of the checkpoint, so none is told that it is committed.
    assign = assigned(story.written(8) if is_written else story.not_written())
    assert (assign.epoch, assign.manifest) == (2, 8 if is_written else 7)
    assert story.go_to(Phase.RUNNING) == [Publish(E2, is_again=True)]
    assert story.due() == [Send(WORKERS, Checkpoint(E2, CheckpointId(9)))]


@pytest.mark.parametrize("is_written", [True, False])
def test_a_manifest_that_is_decided_while_workers_join_is_the_one_to_go_back_to(
    is_written: bool,
) -> None:
    story = committing()
    story.lose(B)
    story.join(A)
    assert (story.written(8) if is_written else story.not_written()) == []
    assert assigned(story.join(B)).manifest == (8 if is_written else 7)


def test_a_loss_when_all_have_joined_and_wait_for_a_manifest_begins_again() -> None:
    story = committing()
    story.lose(B)
    story.join(A, B)
    assert story.lose(A) == [Send((B,), Rewind(E3)), StartWorker(A, E3, is_restart=True)]
    assert story.join(A) == []
    assert story.written(8) == []
    assert assigned(story.join(B)).manifest == 8


def test_people_are_told_that_the_checkpoint_which_is_written_may_be_the_one() -> None:
    (told,) = committing().announced(WorkerLost(B, E1, "killed"))
    assert told.next == ("all workers go back to checkpoint 7 or the one that is being written")


def test_too_many_failures_end_the_run_while_it_recovers_too() -> None:
    story = committing(checkpoint_failures_max=0)
    story.lose(B)
    error = ended(story.not_written(), epoch=2)
    assert isinstance(error, ClusterError)
    assert error.hint == CARRY_ON


# Several losses


@pytest.mark.parametrize("phase", RECOVERING)
@pytest.mark.parametrize("second", WORKERS)
def test_a_loss_during_a_recovery_begins_again(phase: Phase, second: WorkerName) -> None:
    story = running()
    story.lose(B)
    if phase is not Phase.FORMING:
        story.go_to(phase)
    effects = story.lose(second)
    assert StartWorker(second, E3, is_restart=True) in effects
    assert (story.phase, story.epoch) == (Phase.FORMING, 3)
    assign = assigned(story.join(A, B))
    assert assign.members == [["a", 3, "a:3"], ["b", 3, "b:3"]]
    assert story.go_to(Phase.RUNNING) == [Publish(E3, is_again=True)]


def test_a_successor_that_was_just_being_started_gives_way_to_one_of_the_new_epoch() -> None:
    story = running(workers=THREE)
    story.lose(B)
    assert story.lose(C) == [
        Send((A,), Rewind(E3)),
        StartWorker(B, E3, is_restart=False),
        StartWorker(C, E3, is_restart=True),
    ]
    # The process that was started for epoch 2 may still have joined, and been ended.
    assert story.say(B, Join(E2, B, 1, "b:2", OUTLINE)) == []
    assert story.step(WorkerLost(B, E2, "gave way")) == []
    assert story.epoch == 3
    assert story.join(A, C) == []
    members = assigned(story.join(B)).members
    assert members == [["a", 3, "a:3"], ["b", 3, "b:3"], ["c", 3, "c:3"]]


def test_a_successor_that_has_joined_rewinds_like_the_others() -> None:
    story = running(workers=THREE)
    story.lose(B)
    story.join(B)
    assert story.lose(C) == [Send((A, B), Rewind(E3)), StartWorker(C, E3, is_restart=True)]
    # Its process is still the one that was started for epoch 2.
    assert story.step(WorkerLost(B, E3, "there is no such process")) == []
    assert StartWorker(B, E4, is_restart=True) in story.step(WorkerLost(B, E2, "killed"))


def test_a_successor_that_is_lost_before_it_joins_is_started_again() -> None:
    story = running()
    story.lose(B)
    assert story.lose(B) == [Send((A,), Rewind(E3)), StartWorker(B, E3, is_restart=True)]
    assert story.step(WorkerLost(B, E2, "told twice")) == []


def test_all_workers_may_be_lost_one_after_the_other() -> None:
    story = running(workers=THREE)
    story.lose(A)
    story.lose(B)
    assert story.lose(C) == [
        Send((), Rewind(E4)),
        StartWorker(A, E4, is_restart=False),
        StartWorker(B, E4, is_restart=False),
        StartWorker(C, E4, is_restart=True),
    ]
    assert assigned(story.join(*THREE)).manifest == 7
    assert story.go_to(Phase.RUNNING) == [Publish(E4, is_again=True)]


def test_a_rewound_worker_is_lost_by_the_name_of_its_process() -> None:
    story = running()
    story.lose(B)
    story.go_to(Phase.RUNNING)
    assert {name: each.incarnation for name, each in story.played.items()} == {A: 1, B: 2}
    assert story.lose(A) == [Send((B,), Rewind(E3)), StartWorker(A, E3, is_restart=True)]


def test_one_loss_that_is_told_twice_is_one_loss() -> None:
    story = running()
    lost = WorkerLost(B, E1, "its control link broke")
    assert story.step(lost) != []
    assert story.step(lost) == []
    story.go_to(Phase.RUNNING)
    assert story.step(lost) == []
    assert story.epoch == 2


def test_what_was_said_before_a_loss_is_dropped_after_it() -> None:
    story = running()
    story.lose(B)
    late: list[ControlFrame] = [
        Join(E1, A, 1, "a:1", OUTLINE),
        Ready(E1),
        Opened(E1),
        Drained(E1, CheckpointId(8)),
        SourcesEnded(E1, [0], []),
    ]
    for phase in (*RECOVERING, Phase.RUNNING):
        story.go_to(phase)
        for worker in WORKERS:
            for frame in late:
                assert story.say(worker, frame) == []
        assert story.phase is phase


# While the cluster stops


def draining() -> Story:
    story = running()
    story.go_to(Phase.DRAINING)
    return story


def draining_and_committing() -> Story:
    story = draining()
    story.save()
    return story


@pytest.mark.parametrize("story_of", [draining, draining_and_committing])
def test_a_loss_while_the_cluster_stops_ends_with_how_to_carry_on(story_of: Any) -> None:
    story = story_of()
    error = ended(story.lose(B))
    assert str(error).startswith("worker b was lost (killed) while the cluster was stopping")
    assert error is not None
    assert error.hint == CARRY_ON
    assert story.step(ManifestWritten(8, 6)) == []


@pytest.mark.parametrize("phase", RECOVERING)
def test_a_stop_during_a_recovery_drains_after_it(phase: Phase) -> None:
    story = running()
    story.lose(B)
    story.go_to(phase)
    assert story.step(StopRequested()) == []
    if story.phase is Phase.FORMING:
        story.join(A, B)
    if story.phase is Phase.CONNECTING:
        story.all_say(Ready(E2))
    assert story.all_say(Opened(E2)) == [
        Publish(E2, is_again=True),
        Send(WORKERS, Drain(E2, CheckpointId(8))),
    ]


def test_a_loss_while_a_stop_waits_for_a_manifest_is_recovered_from_before_the_stop() -> None:
    story = committing()
    story.step(StopRequested())
    story.lose(B)
    story.join(A, B)
    assert assigned(story.written(8)).manifest == 8
    assert story.all_say(Ready(E2)) == [Send(WORKERS, Open(E2))]
    assert story.all_say(Opened(E2))[1:] == [Send(WORKERS, Drain(E2, CheckpointId(9)))]
    story.save()
    story.written(9)
    story.drained(A)
    frame = Drained(E2, CheckpointId(9))
    assert ended(story.coordinator.step(Received(B, frame))[-2:], epoch=2) is None


def test_sources_that_had_ended_before_a_loss_end_again_after_it() -> None:
    story = running(sources=sources_of(A, B))
    story.say(A, SourcesEnded(E1, [0], []))
    story.lose(B)
    story.go_to(Phase.RUNNING)
    assert story.say(B, SourcesEnded(E2, [1], [])) == []
    assert story.say(A, SourcesEnded(E2, [0], [])) == [Send(WORKERS, Drain(E2, CheckpointId(8)))]
