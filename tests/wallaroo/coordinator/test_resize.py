"""Stories of resizes: done, refused, called off, and with losses half way."""

from typing import Any

import pytest

from tests.wallaroo.coordinator.played_worker import OUTLINE, content_of
from tests.wallaroo.coordinator.story import (
    A,
    B,
    C,
    Story,
    committing,
    legacy_of,
    membership,
    sources_of,
)
from wallaroo.checkpoint.departure import Departure
from wallaroo.coordinator.coordinator import Phase
from wallaroo.coordinator.events import (
    Answer,
    Effect,
    EndWorker,
    MembersChanged,
    Publish,
    Received,
    ResizeRequested,
    Send,
    StartWorker,
    StopRequested,
    WorkerLost,
    WriteManifest,
)
from wallaroo.coordinator.worker_names import first_names, next_names
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.wire.control import (
    Assign,
    CallOff,
    Checkpoint,
    Committed,
    Delivered,
    Drain,
    Drained,
    Empty,
    Failed,
    Gather,
    Held,
    Hold,
    Join,
    Leave,
    NotMoved,
    Open,
    Opened,
    Ready,
    Release,
    Rewind,
    Saved,
    SourcesEnded,
    Stop,
)

E1, E2 = Epoch(1), Epoch(2)
MAPS = [["state", 4, [], ["a", "b"], [0, 1, 0, 1]]]


def running(**changes: Any) -> Story:
    story = Story(**{"partition_maps": MAPS, **changes})
    story.go_to(Phase.RUNNING)
    return story


def frames(effects: list[Effect]) -> list[Any]:
    return [effect.frame for effect in effects if isinstance(effect, Send)]


def answer(effects: list[Effect]) -> Answer:
    (answered,) = [effect for effect in effects if isinstance(effect, Answer)]
    return answered


def committed(story: Story, **request: Any) -> list[Effect]:
    """Bring a request to its commit; return what follows from that."""
    story.ask_resize(**request)
    if story.added:
        story.join(*story.added)
    story.gather()
    story.empty()
    story.hold()
    return story.move()


def open_again(story: Story) -> list[Effect]:
    story.all_say(Ready(story.epoch))
    return story.all_say(Opened(story.epoch))


def test_two_become_three_while_records_flow() -> None:
    story = running()
    assert story.ask_resize(added=[C]) == [StartWorker(C, E2, is_restart=False, is_joining=True)]
    (gather,) = frames(story.join(C))
    assert isinstance(gather, Gather)
    assert gather.members == [["a", 1, "a:1"], ["b", 1, "b:1"], ["c", 2, "c:2"]]
    assert gather.new_workers == [A, B, C]
    assert story.gather(A, B) == []
    assert story.gather(C) == [Send((A, B), Hold(E1, 1, CheckpointId(1)))]
    assert story.phase is Phase.MOVING
    assert story.hold() == []
    changed, assign = story.move()
    assert isinstance(changed, MembersChanged)
    assert changed.workers == (A, B, C)
    assert isinstance(assign, Send)
    assert assign.workers == (A, B, C)
    assert (story.epoch, story.phase) == (E2, Phase.CONNECTING)
    assert story.all_say(Ready(E2)) == [Send((A, B, C), Open(E2))]
    *_, published, done = story.all_say(Opened(E2))
    assert published == Publish(E2, is_again=True)
    assert isinstance(done, Answer)
    assert done.ok
    assert done.facts == {
        "added": [C],
        "left": [],
        "moved_partitions": {"state": 1},
        "moved_keys": 30,
        "moved_bytes": 300,
        "epoch": 2,
        "workers": [A, B, C],
    }


def test_one_that_leaves_delivers_first_and_leaves_its_sources_to_others() -> None:
    story = running(sources=sources_of(B))
    (gather,) = frames(story.ask_resize(leaving=[B]))
    assert gather.new_workers == [A]
    assert story.gather() == [Send((B,), Empty(E1, 1))]
    assert story.empty() == [Send((A, B), Hold(E1, 1, CheckpointId(1)))]
    story.hold()
    _, assign, leave = story.move()
    assert isinstance(assign, Send)
    assert frames([assign])[0].source_workers == [A]
    assert frames([assign])[0].left == [legacy_of(B)]
    assert leave == Send((B,), Leave(E2, 1))
    assert open_again(story) == [Publish(E2, is_again=True)]
    stop, end, done = story.say(B, Drained(E2, CheckpointId(1)))
    assert (stop, end) == (Send((B,), Stop(E2)), EndWorker(B, is_stopping=True))
    assert isinstance(done, Answer)
    assert done.ok
    # Its process ends: no loss.
    assert story.step(WorkerLost(B, E1, "the process ended with status 0")) == []
    assert story.phase is Phase.RUNNING


def grown_with_debts(**changes: Any) -> Story:
    """Two workers have become three while ``a`` had still to deliver to sinks 0 and 1."""
    story = running(**changes)
    story.ask_resize(added=[C])
    story.join(C)
    story.gather()
    story.hold({A: [0, 1]})
    effects = story.move()
    (assign,) = [frame for frame in frames(effects) if isinstance(frame, Assign)]
    assert assign.held_sinks == [0, 1]
    return story


def test_new_owners_hold_results_until_the_old_ones_have_delivered() -> None:
    story = grown_with_debts()
    assert story.say(A, Delivered(E2, 1, [1])) == [Send((A, B, C), Release(E2, 1, [1]))]
    assert answer(open_again(story)).ok, "the resize does not wait for a slow sink"
    assert story.say(A, Delivered(E2, 1, [])) == [Send((A, B, C), Release(E2, 1, []))]
    assert story.say(A, Delivered(E2, 1, [])) == []


def test_a_report_of_what_is_delivered_counts_whatever_its_epoch() -> None:
    story = grown_with_debts()
    open_again(story)
    story.step(WorkerLost(B, E1, "killed"))
    assert story.epoch > E2
    assert frames(story.say(A, Delivered(E2, 1, []))) == [Release(story.epoch, 1, [])]


def test_results_do_not_wait_for_a_worker_that_is_lost() -> None:
    story = grown_with_debts()
    open_again(story)
    effects = story.step(WorkerLost(A, E1, "killed"))
    assert Release(E2, 1, []) in frames(effects)


def test_after_a_recovery_from_a_checkpoint_nothing_is_held() -> None:
    story = grown_with_debts(is_durable=True)
    effects = story.step(WorkerLost(B, E1, "killed"))
    assert not [frame for frame in frames(effects) if isinstance(frame, Release)]
    assert story.say(A, Delivered(E2, 1, [])) == []


def test_a_worker_that_leaves_has_delivered_once_it_is_drained() -> None:
    story = running()
    story.ask_resize(leaving=[B])
    story.gather()
    story.empty()
    story.hold({B: [0]})
    story.move()
    open_again(story)
    assert frames(story.say(B, Delivered(E2, 1, [0]))) == []
    assert Release(E2, 1, []) in frames(story.say(B, Drained(E2, CheckpointId(1))))


@pytest.mark.parametrize(
    ("added", "leaving", "reason"),
    [
        ([], [], "no worker is to join"),
        ([], [A, B], "too few workers: of 2 one at least has to stay"),
        ([], [C], "there is no worker c; there are a, b"),
        ([A], [], "there is a worker a already"),
        ([C, C], [], "a worker is named twice"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason(
    added: list[WorkerName], leaving: list[WorkerName], reason: str
) -> None:
    refused = answer(running().ask_resize(added, leaving))
    assert not refused.ok
    assert reason in refused.text


def test_a_second_request_is_refused_and_the_first_goes_on() -> None:
    story = running()
    story.ask_resize(added=[C])
    second = answer(story.step(ResizeRequested(9, (), (B,))))
    assert (second.ok, second.request_id) == (False, 9)
    assert "in progress" in second.text
    assert isinstance(frames(story.join(C))[0], Gather)


@pytest.mark.parametrize("phase", [Phase.FORMING, Phase.CONNECTING, Phase.OPENING, Phase.DRAINING])
def test_only_a_running_cluster_changes(phase: Phase) -> None:
    story = Story()
    story.go_to(phase)
    assert phase.value in answer(story.ask_resize(added=[C])).text


def test_one_that_is_lost_before_it_joined_ends_the_request_alone() -> None:
    story = running()
    story.ask_resize(added=[C])
    effects = story.step(WorkerLost(C, E2, "killed"))
    assert effects[:2] == [Send((C,), Stop(E1)), EndWorker(C, is_stopping=False)]
    assert answer(effects).text == "worker c was lost (killed); nothing changed"
    assert (story.phase, story.epoch) == (Phase.RUNNING, E1)
    # Another process of this name may join; what the lost one reports does not count for it.
    assert StartWorker(C, Epoch(3), False, True) in story.ask_resize(added=[C])
    assert story.step(WorkerLost(C, E2, "killed again")) == []


def test_one_that_cannot_load_the_application_ends_the_request_alone() -> None:
    story = running()
    story.ask_resize(added=[C])
    failed = Failed(E2, C, "worker c: no module named counts", "", 2)
    effects = story.say(C, failed)
    assert "no module named counts" in answer(effects).text
    assert story.phase is Phase.RUNNING


def test_what_one_says_that_was_called_off_before_ends_neither_run_nor_request() -> None:
    story = running()
    story.ask_resize(added=[C])
    story.step(WorkerLost(C, E2, "killed"))
    late = Failed(E2, C, "worker c: no module named counts", "", 2)
    assert story.say(C, late) == []
    story.ask_resize(added=[WorkerName("d")])
    assert story.say(C, late) == []
    story.lose(A)
    assert story.say(C, late) == []
    assert story.phase is Phase.FORMING


def test_one_that_runs_another_application_ends_the_request_alone() -> None:
    story = running()
    story.ask_resize(added=[C])
    effects = story.say(C, Join(E2, C, 1, "c:2", [*OUTLINE[:-1], "step three"]))
    assert "step three" in answer(effects).text
    assert story.phase is Phase.RUNNING


def test_one_that_joins_and_is_lost_in_the_pause_lets_the_others_go_on() -> None:
    story = running()
    story.ask_resize(added=[C])
    story.join(C)
    story.gather()
    assert story.phase is Phase.MOVING
    effects = story.step(WorkerLost(C, E2, "killed"))
    assert effects[0] == Send((A, B), CallOff(E1, 1, "worker c was lost (killed)"))
    assert not answer(effects).ok
    assert (story.phase, story.epoch) == (Phase.RUNNING, E1)
    # What is still said of it counts for nothing.
    assert story.move() == []
    assert story.hold() == []


def test_a_member_that_cannot_give_its_states_calls_it_off() -> None:
    story = running()
    story.ask_resize(leaving=[B])
    story.gather()
    story.empty()
    effects = story.say(B, NotMoved(E1, 1, "a lock cannot be pickled"))
    assert answer(effects).text == "worker b: a lock cannot be pickled; nothing changed"
    assert story.phase is Phase.RUNNING


@pytest.mark.parametrize("is_durable", [False, True])
def test_a_loss_in_the_pause_is_recovered_from_with_the_old_members(is_durable: bool) -> None:
    story = running(is_durable=is_durable)
    story.ask_resize(added=[C], leaving=[B])
    story.join(C)
    story.gather()
    story.empty()
    effects = story.lose(A)
    assert not answer(effects).ok
    assert EndWorker(C, is_stopping=False) in effects
    assert StartWorker(A, E2, is_restart=True) in effects
    told = [frame for frame in frames(effects) if isinstance(frame, CallOff | Rewind)]
    assert told == ([Rewind(E2)] if is_durable else [CallOff(E1, 1, "worker a was lost (killed)")])
    story.join(*story.workers if is_durable else (A,))
    assert open_again(story) == [Publish(E2, is_again=True)]


def test_a_loss_after_the_commit_is_recovered_from_with_the_new_members() -> None:
    story = running(is_durable=True)
    committed(story, added=[C], leaving=[B])
    effects = story.lose(C)
    assert Send((B,), Stop(Epoch(2))) in effects
    assert EndWorker(B, is_stopping=True) in effects
    assert Send((A,), Rewind(Epoch(3))) in effects
    story.workers = (A, C)
    story.join(A, C)
    effects = open_again(story)
    assert effects[0] == Publish(Epoch(3), is_again=True)
    saved = story.all_say(Saved(Epoch(3), story.checkpoint, content_of(A)))
    assert isinstance(saved[0], WriteManifest)
    assert answer(story.written(4)).ok


def test_with_checkpoints_on_it_is_done_once_a_checkpoint_has_the_new_members() -> None:
    story = running(is_durable=True)
    committed(story, leaving=[B])
    assert open_again(story) == [Publish(E2, is_again=True)]
    # What the one that leaves has still to deliver belongs before the next checkpoint.
    assert story.due() == []
    story.say(B, Drained(E2, CheckpointId(1)))
    story.save()
    assert answer(story.written(2)).ok


def test_a_worker_that_left_comes_back_after_two_checkpoints() -> None:
    story = running(is_durable=True)
    committed(story, leaving=[B])
    open_again(story)
    story.say(B, Drained(E2, CheckpointId(1)))
    story.save()
    story.written(2)
    # The first one lists what a successor writes under its name, and the second has it delivered.
    assert "has left" in answer(story.ask_resize(added=[B])).text
    assert not story.coordinator.may_come([B])
    story.added = ()
    story.due()
    story.save()
    story.written(3)
    assert story.coordinator.may_come([B])
    assert StartWorker(B, Epoch(3), False, True) in story.ask_resize(added=[B])
    # Its earlier process reports its end only now.
    assert story.step(WorkerLost(B, E1, "it has ended")) == []


def test_without_checkpoints_a_worker_that_left_comes_back_at_once() -> None:
    story = running()
    committed(story, leaving=[B])
    open_again(story)
    story.say(B, Drained(E2, CheckpointId(1)))
    assert StartWorker(B, Epoch(3), False, True) in story.ask_resize(added=[B])


def test_what_a_worker_that_leaves_has_counted_is_known_before_it_is_lost() -> None:
    story = running()
    story.ask_resize(leaving=[B])
    story.gather()
    story.empty()
    left = Departure(B, [], {}, [], {"b": {"x/source": [7, 7, 0, 0]}}).to_wire()
    story.say(B, Held(E1, 1, left, 0, []))
    totals = story.coordinator._failures.counts.totals
    assert totals.by_worker() == {"b": {"x/source": [7, 7, 0, 0]}}


def test_a_checkpoint_that_is_being_taken_is_waited_for() -> None:
    story = running(is_durable=True)
    story.due()
    story.ask_resize(leaving=[B])
    assert story.gather() == []
    assert story.due() == []
    story.save()
    # Who leaves goes on until then: its senders wait no longer than for the change itself.
    effects = story.written(2)
    assert isinstance(frames(effects)[-1], Empty)
    assert story.due() == []
    assert isinstance(frames(story.empty())[-1], Hold)


def test_one_that_leaves_is_told_where_those_that_stay_take_its_senders() -> None:
    story = running()
    for worker in (A, B):
        story.coordinator._state.hand_over_paths[worker] = f"/{worker}/hand-over"
    story.ask_resize(added=[C], leaving=[B])
    story.say(C, Join(E2, C, 1, "c:2", OUTLINE, "/c/hand-over"))
    assert story.gather() == [Send((B,), Empty(E1, 1, ["/a/hand-over", "/c/hand-over"]))]


def test_a_stop_waits_for_the_checkpoint_that_senders_wait_for() -> None:
    story = running(is_durable=True)
    committed(story, leaving=[B])
    open_again(story)
    assert story.step(StopRequested()) == []
    (order,) = frames(story.say(B, Drained(E2, CheckpointId(1))))[1:]
    assert isinstance(order, Checkpoint)
    assert story.step(StopRequested(may_force=False)) == []
    story.save()
    assert [type(frame) for frame in frames(story.written(2))] == [Committed, Drain]


def test_a_stop_does_not_wait_for_a_checkpoint_that_cannot_be() -> None:
    story = running(is_durable=True)
    committed(story, leaving=[B])
    open_again(story)
    story.step(StopRequested())
    story.say(B, Drained(E2, CheckpointId(1)))
    effects = story.fail_to_save(A)
    assert isinstance(frames(effects)[-1], Drain)


def test_a_stop_calls_off_what_has_not_begun_to_move() -> None:
    story = running()
    story.ask_resize(added=[C])
    effects = story.step(StopRequested())
    assert "stopped" in answer(effects).text
    assert Send((A, B), Drain(E1, CheckpointId(1))) in effects


def test_no_resize_starts_while_a_stop_waits_for_a_manifest() -> None:
    story = committing()
    story.step(StopRequested())
    assert story.coordinator.phase is Phase.RUNNING
    refused = answer(story.ask_resize(leaving=[B]))
    assert not refused.ok
    assert "is being stopped" in refused.text
    story.written(8)
    assert story.phase is Phase.DRAINING


def test_a_stop_in_the_pause_waits_for_the_new_members() -> None:
    story = running()
    story.ask_resize(added=[C])
    story.join(C)
    story.gather()
    assert story.step(StopRequested()) == []
    story.hold()
    story.move()
    effects = open_again(story)
    assert Send((A, B, C), Drain(E2, CheckpointId(2))) in effects


def test_a_stop_waits_for_one_that_leaves() -> None:
    story = running()
    committed(story, leaving=[B])
    open_again(story)
    assert story.step(StopRequested()) == []
    effects = story.say(B, Drained(E2, CheckpointId(1)))
    assert answer(effects).ok
    assert Send((A,), Drain(E2, CheckpointId(2))) in effects


def test_sources_that_end_in_the_pause_end_the_run_when_they_have_told_again() -> None:
    story = running(sources=sources_of(A))
    story.ask_resize(leaving=[B])
    story.gather()
    story.empty()
    assert story.say(A, SourcesEnded(E1, [0], [])) == []
    story.hold()
    story.move()
    open_again(story)
    assert story.say(A, SourcesEnded(E2, [0], [])) == []
    effects = story.say(B, Drained(E2, CheckpointId(1)))
    assert isinstance(frames(effects)[-1], Drain)


def test_the_end_of_the_run_answers_a_client_that_waits() -> None:
    story = running(may_restart=False)
    story.ask_resize(added=[C])
    effects = story.lose(A)
    assert not answer(effects).ok


def test_names_are_never_given_twice() -> None:
    assert first_names(2) == ("w1", "w2")
    assert next_names([WorkerName("w1"), WorkerName("w7"), WorkerName("other")], 2) == ("w8", "w9")


def test_unknown_senders_are_ignored() -> None:
    story = running()
    assert story.step(Received(C, Ready(E1))) == []
    assert membership().workers == story.workers
