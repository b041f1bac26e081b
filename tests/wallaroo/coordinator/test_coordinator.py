"""The stories of a cluster: start, loss in every phase, stop in every phase."""

from typing import Any

import pytest

from tests.wallaroo.coordinator.played_worker import OUTLINE, counted_source
from tests.wallaroo.coordinator.story import (
    WORKERS,
    A,
    B,
    Story,
    assigned,
    ended,
    membership,
    watch_of_failures,
)
from wallaroo.coordinator.coordinator import Coordinator, Phase
from wallaroo.coordinator.events import (
    Announce,
    DrainRequested,
    Publish,
    Received,
    Send,
    StartWorker,
    StopRequested,
    WorkerLost,
)
from wallaroo.errors import ClusterError, ConfigError
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.story import STEPS_MAX
from wallaroo.wire.control import (
    Assign,
    Drain,
    Drained,
    Failed,
    Join,
    Open,
    Opened,
    Ready,
    RequestStop,
    Stop,
)

FIRST = CheckpointId(1)


def test_a_cluster_starts_when_all_have_joined_connected_and_opened() -> None:
    story = Story()
    assert Coordinator(membership(), watch_of_failures()).start() == [
        StartWorker(worker, Epoch(1), is_restart=False) for worker in WORKERS
    ]
    assert story.join(A) == []
    assert story.join(B) == [
        Send(
            WORKERS,
            Assign(
                Epoch(1),
                [["a", 1, "a:1"], ["b", 1, "b:1"]],
                [["state", 1, [], ["a"], [0]]],
                ["127.0.0.1:7010"],
                [""],
                manifest=0,
            ),
        )
    ]
    assert story.all_say(Ready(Epoch(1))) == [Send(WORKERS, Open(Epoch(1)))]
    assert story.all_say(Opened(Epoch(1))) == [Publish(Epoch(1), is_again=False)]
    assert story.phase is Phase.RUNNING


def test_people_are_told_how_many_workers_a_start_waits_for() -> None:
    coordinator = Coordinator(membership(), watch_of_failures())
    join = Join(Epoch(1), A, 1, "a:1", OUTLINE)
    assert coordinator.step(Received(A, join)) == [
        Announce("worker.joined", {"worker": A, "worker_count": "1 of 2"}, f"waits for {B}")
    ]


def test_a_stop_drains_and_ends_when_all_have_drained() -> None:
    story = Story()
    assert story.go_to(Phase.DRAINING) == [Send(WORKERS, Drain(Epoch(1), FIRST))]
    said = [
        Drained(Epoch(1), FIRST, Epoch(1), each)
        for each in (counted_source("a", 5, 1), counted_source("b", 7))
    ]
    assert story.step(Received(A, said[0])) == []
    last = story.coordinator.step(Received(B, said[1]))
    counts = {"record_count": 12, "failure_count": 1}
    assert Announce("cluster.drained", counts, "all processes end") in last
    assert ended(last[-2:]) is None
    assert story.phase is Phase.STOPPED


@pytest.mark.parametrize("phase", [Phase.FORMING, Phase.CONNECTING])
def test_a_loss_before_the_sources_are_open_ends_the_start(phase: Phase) -> None:
    story = Story()
    story.go_to(phase)
    error = ended(story.lose(B))
    assert isinstance(error, ClusterError)
    assert error.what == "worker b was lost (killed) before the application was ready"
    assert error.hint.endswith("run the same command again")


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_loss_while_sources_open_is_recovered_since_records_may_be_accepted(
    is_durable: bool,
) -> None:
    story = Story(is_durable=is_durable)
    story.go_to(Phase.OPENING)
    assert StartWorker(B, Epoch(2), is_restart=True) in story.lose(B)
    story.go_to(Phase.RUNNING)
    assert story.epoch == 2


@pytest.mark.parametrize("phase", [Phase.CONNECTING, Phase.OPENING])
@pytest.mark.parametrize("is_durable", [True, False])
def test_a_patient_start_recovers_from_a_loss(phase: Phase, is_durable: bool) -> None:
    story = Story(is_patient=True, is_durable=is_durable)
    story.go_to(phase)
    assert StartWorker(B, Epoch(2), is_restart=True) in story.lose(B)
    story.go_to(Phase.RUNNING)
    assert story.epoch == 2


@pytest.mark.parametrize("is_durable", [True, False])
def test_a_patient_start_recovers_from_the_loss_of_one_while_another_has_not_joined(
    is_durable: bool,
) -> None:
    story = Story(is_patient=True, is_durable=is_durable)
    effects = story.lose(B)
    # With checkpoints on, a process of the old epoch has no place in the new one.
    anew = StartWorker(A, Epoch(2), is_restart=False)
    assert (anew in effects) is is_durable
    story.go_to(Phase.RUNNING)
    assert story.epoch == 2


def test_a_lost_worker_is_started_again_in_a_new_epoch() -> None:
    story = Story()
    story.go_to(Phase.RUNNING)
    assert story.lose(B) == [StartWorker(B, Epoch(2), is_restart=True)]
    assert (story.phase, story.epoch) == (Phase.FORMING, 2)
    assert assigned(story.join(B)).members == [["a", 1, "a:1"], ["b", 2, "b:2"]]
    assert story.all_say(Ready(Epoch(2))) == [Send(WORKERS, Open(Epoch(2)))]
    assert story.all_say(Opened(Epoch(2))) == [Publish(Epoch(2), is_again=True)]


@pytest.mark.parametrize("phase", [Phase.FORMING, Phase.CONNECTING, Phase.OPENING])
@pytest.mark.parametrize("second", WORKERS)
def test_a_second_loss_during_a_recovery_is_recovered_from_too(
    phase: Phase, second: WorkerName
) -> None:
    story = Story()
    story.go_to(Phase.RUNNING)
    story.lose(B)
    if phase is not Phase.FORMING:
        story.join(B)
        story.go_to(phase)
    assert story.lose(second) == [StartWorker(second, Epoch(3), is_restart=True)]
    if phase is Phase.FORMING and second is A:
        assert story.join(A) == []
        story.join(B)
    else:
        story.join(second)
    assert story.phase is Phase.CONNECTING
    assert story.go_to(Phase.RUNNING) == [Publish(Epoch(3), is_again=True)]


def test_one_loss_that_is_told_twice_is_one_loss() -> None:
    story = Story()
    story.go_to(Phase.RUNNING)
    lost = WorkerLost(B, Epoch(1), "its control link broke")
    assert story.step(lost) != []
    assert story.step(lost) == []
    assert story.epoch == 2


def test_what_was_said_before_a_loss_is_dropped_after_it() -> None:
    story = Story()
    story.go_to(Phase.RUNNING)
    story.lose(B)
    for frame in (Ready(Epoch(1)), Opened(Epoch(1)), Drained(Epoch(1), FIRST)):
        for worker in WORKERS:
            assert story.step(Received(worker, frame)) == []
    late = Join(Epoch(1), B, 1, "b:1", OUTLINE)
    assert story.step(Received(B, late)) == []
    story.join(B)
    assert story.step(Received(A, Ready(Epoch(1)))) == []
    assert story.step(Received(B, Ready(Epoch(2)))) == []
    assert story.phase is Phase.CONNECTING


def test_a_worker_that_runs_another_application_is_refused_with_the_difference() -> None:
    story = Story()
    story.join(A)
    join = Join(Epoch(1), B, 1, "b:1", ["step one", "step 2"])
    error = ended(story.step(Received(B, join)))
    assert isinstance(error, ClusterError)
    assert "worker b runs another application" in str(error)
    assert "step two is not step 2" in str(error)
    assert error.hint


def test_no_restart_ends_the_cluster_with_the_first_loss() -> None:
    story = Story(may_restart=False)
    story.go_to(Phase.RUNNING)
    assert str(ended(story.lose(A))) == "worker a was lost (killed), and --no-restart is set"


def test_a_loss_while_draining_ends_with_what_it_means() -> None:
    story = Story()
    story.go_to(Phase.DRAINING)
    story.step(Received(A, Drained(Epoch(1), FIRST)))
    assert "while the cluster was stopping; what it held is lost" in str(ended(story.lose(B)))


def test_a_stop_while_sources_open_drains_what_was_accepted() -> None:
    story = Story()
    story.go_to(Phase.OPENING)
    assert story.step(StopRequested()) == []
    assert Send(WORKERS, Drain(Epoch(1), FIRST)) in story.all_say(Opened(Epoch(1)))


@pytest.mark.parametrize("phase", [Phase.FORMING, Phase.CONNECTING])
def test_a_stop_before_the_sources_are_open_ends_at_once(phase: Phase) -> None:
    story = Story()
    story.go_to(phase)
    assert ended(story.step(StopRequested())) is None


@pytest.mark.parametrize("phase", [Phase.FORMING, Phase.CONNECTING, Phase.OPENING])
def test_a_stop_during_a_recovery_drains_after_it(phase: Phase) -> None:
    story = Story()
    story.go_to(Phase.RUNNING)
    story.lose(B)
    if phase is not Phase.FORMING:
        story.join(B)
        story.go_to(phase)
    assert story.step(StopRequested()) == []
    if story.phase is Phase.FORMING:
        story.join(B)
    if story.phase is Phase.CONNECTING:
        story.all_say(Ready(Epoch(2)))
    assert story.all_say(Opened(Epoch(2))) == [
        Publish(Epoch(2), is_again=True),
        Send(WORKERS, Drain(Epoch(2), FIRST)),
    ]
    assert ended(story.all_say(Drained(Epoch(2), FIRST)), epoch=2) is None


@pytest.mark.parametrize("phase", [Phase.RUNNING, Phase.DRAINING])
def test_the_second_stop_is_at_once_and_says_what_is_lost(phase: Phase) -> None:
    story = Story()
    story.go_to(phase)
    if phase is Phase.RUNNING:
        story.step(StopRequested())
    error = ended(story.step(StopRequested()))
    assert str(error) == "stopped immediately; what was not yet delivered is lost"


def test_a_drain_leaves_the_workers_up_until_they_are_asked_to_stop() -> None:
    story = Story()
    story.go_to(Phase.RUNNING)
    assert story.step(DrainRequested()) == [Send(WORKERS, Drain(Epoch(1), FIRST))]
    assert story.step(DrainRequested()) == []
    assert story.drained() == []
    assert story.phase is Phase.DRAINED
    assert story.step(DrainRequested()) == []
    assert ended(story.step(StopRequested())) is None


def test_a_stop_while_a_drain_lasts_ends_the_run_after_it() -> None:
    story = Story()
    story.go_to(Phase.RUNNING)
    story.step(DrainRequested())
    assert story.step(StopRequested(may_force=False)) == []
    assert ended(story.drained()) is None


def test_a_drain_while_a_stop_lasts_changes_nothing() -> None:
    story = Story()
    story.go_to(Phase.DRAINING)
    assert story.step(DrainRequested()) == []
    assert ended(story.drained()) is None


def test_only_who_may_force_stops_at_once_by_asking_twice() -> None:
    story = Story()
    story.go_to(Phase.RUNNING)
    asked = StopRequested(may_force=False)
    assert story.step(asked) == [Send(WORKERS, Drain(Epoch(1), FIRST))]
    assert [story.step(asked), story.step(StopRequested()), story.step(asked)] == [[], [], []]
    assert "stopped immediately" in str(ended(story.step(StopRequested())))


def test_a_loss_after_a_drain_ends_the_run_and_says_so() -> None:
    story = Story()
    story.go_to(Phase.DRAINED)
    assert str(ended(story.lose(B))) == "worker b was lost (killed) after everything was drained"


def test_workers_that_ask_for_a_stop_ask_for_the_same_one() -> None:
    story = Story()
    story.go_to(Phase.RUNNING)
    asked = [story.step(Received(worker, RequestStop(Epoch(1)))) for worker in (A, B, A)]
    assert asked == [[Send(WORKERS, Drain(Epoch(1), FIRST))], [], []]
    assert story.phase is Phase.DRAINING


def test_a_worker_asks_for_a_stop_whatever_epoch_it_knows() -> None:
    story = Story()
    story.go_to(Phase.RUNNING)
    story.lose(B)
    story.step(Received(A, RequestStop(Epoch(1))))
    story.join(B)
    story.go_to(Phase.OPENING)
    story.all_say(Opened(Epoch(2)))
    assert story.phase is Phase.DRAINING


@pytest.mark.parametrize("phase", [*Phase][:-1])
def test_a_worker_that_cannot_go_on_ends_the_cluster_with_its_words(phase: Phase) -> None:
    for exit_code, kind in ((1, ClusterError), (2, ConfigError)):
        story = Story()
        story.go_to(phase)
        effects = story.step(Received(A, Failed(Epoch(1), A, "what", "do this", exit_code)))
        # A request for a resize is answered first.
        error = ended(effects[-2:])
        assert type(error) is kind
        assert (error.what, error.hint, error.exit_code) == ("what", "do this", exit_code)


def test_a_worker_that_never_joined_may_say_why() -> None:
    story = Story()
    failed = Failed(Epoch(1), A, "no such module", "", 2)
    assert isinstance(ended(story.step(Received(A, failed))), ConfigError)


def test_what_a_process_says_that_was_replaced_ends_nothing() -> None:
    story = Story()
    story.go_to(Phase.RUNNING)
    story.lose(A)
    assert story.step(Received(A, Failed(Epoch(1), A, "too late", "", 1))) == []
    assert story.phase is Phase.FORMING


def test_nothing_happens_after_the_end() -> None:
    story = Story()
    story.step(StopRequested())
    assert story.phase is Phase.STOPPED
    assert story.join(*WORKERS) == []
    assert story.lose(A) == []
    assert story.step(StopRequested()) == []
    assert story.step(Received(A, Failed(Epoch(1), A, "", "", 1))) == []


@pytest.mark.parametrize("frame", [Ready(Epoch(1)), Drained(Epoch(1), FIRST), Stop(Epoch(1))])
def test_a_frame_that_no_worker_sends_now_is_a_fault_of_ours_with_the_story(frame: Any) -> None:
    story = Story()
    story.go_to(Phase.RUNNING)
    with pytest.raises(AssertionError, match=r"in Phase.RUNNING: .*Publish"):
        story.step(Received(A, frame))


def test_the_story_keeps_the_last_steps_only() -> None:
    story = Story()
    for _ in range(STEPS_MAX + 5):
        story.join(A)
    assert len(story.coordinator.story) == STEPS_MAX
    assert "Join" in story.coordinator.story[-1]
    story.coordinator.story.clear()
    assert len(story.coordinator.story) == STEPS_MAX
