"""What is known of a run from outside: members, maps, and how each checkpoint ended."""

from typing import Any

from tests.wallaroo.coordinator.played_worker import counted_source
from tests.wallaroo.coordinator.story import WORKERS, A, B, Story
from wallaroo.coordinator.coordinator import Phase
from wallaroo.coordinator.events import (
    CheckpointDue,
    Event,
    ManifestNotWritten,
    ManifestWritten,
    Received,
    WorkerLost,
)
from wallaroo.coordinator.run_view import RunView
from wallaroo.names import Epoch
from wallaroo.wire.control import Drained, NotSaved, Saved


class Watched(Story):
    """A story that a watch follows from its start."""

    def __init__(self, **changes: Any) -> None:
        self.watch = RunView()
        self.heard: list[tuple[str, dict[str, Any]]] = []
        self.watch.listeners.append(lambda what, values: self.heard.append((what, values)))
        super().__init__(**changes)
        self.watch.on_step(None, self.coordinator.start())

    def step(self, event: Event) -> list[Any]:
        effects = self.coordinator.step(event)
        self._note(effects)
        self.watch.on_step(event, effects)
        return effects


def running(**changes: Any) -> Watched:
    story = Watched(**changes)
    story.go_to(Phase.RUNNING)
    return story


def test_members_and_owners_are_known_as_they_come() -> None:
    story = Watched()
    assert story.watch.workers == [A, B]
    assert story.watch.maps == []
    story.join(A)
    assert story.watch.joined[A].data_address == "a:1"
    story.join(B)
    assert [each.state for each in story.watch.maps] == ["state"]
    assert story.heard[0] == ("worker.joined", {"worker": A, "worker_count": "1 of 2"})


def test_a_worker_that_comes_back_is_known_by_its_new_words() -> None:
    story = running()
    story.lose(B)
    story.join(B)
    assert story.watch.joined[B].data_address == "b:2"
    assert story.watch.workers == list(WORKERS)


def test_a_round_ends_with_its_manifest() -> None:
    story = running(is_durable=True)
    rounds = story.watch.rounds
    story.step(CheckpointDue())
    assert (rounds.last, rounds.is_under_way) == (1, True)
    story.save()
    story.step(ManifestWritten(1, 1))
    assert (rounds.committed, rounds.is_under_way) == (1, False)
    story.step(CheckpointDue())
    assert (rounds.last, rounds.committed, rounds.is_under_way) == (2, 1, True)


def test_a_round_that_fails_says_why() -> None:
    story = running(is_durable=True)
    rounds = story.watch.rounds
    story.step(CheckpointDue())
    story.step(Received(A, NotSaved(Epoch(1), story.checkpoint, "no space left")))
    assert (rounds.failed, rounds.is_under_way) == (1, False)
    assert "no space left" in rounds.reason
    story.step(CheckpointDue())
    story.save()
    story.step(ManifestNotWritten("the store is away"))
    assert (rounds.failed, rounds.reason, rounds.committed) == (2, "the store is away", 0)


def test_replays_are_over_in_an_epoch_once_a_checkpoint_of_it_says_so() -> None:
    story = running(is_durable=True)
    story.played[B].replays(is_done=False)
    story.due()
    story.save()
    story.step(ManifestWritten(1, 1))
    assert story.watch.replayed_in == 0
    story.played[B].replays(is_done=True)
    story.due()
    story.save()
    story.step(ManifestWritten(2, 1))
    assert story.watch.replayed_in == Epoch(1)


def test_a_round_that_a_loss_ends_is_not_under_way() -> None:
    story = running(is_durable=True)
    story.step(CheckpointDue())
    story.step(WorkerLost(B, Epoch(1), "killed"))
    assert not story.watch.rounds.is_under_way


def test_a_loss_while_a_manifest_is_written_leaves_the_round_open() -> None:
    story = running(is_durable=True)
    story.step(CheckpointDue())
    for worker in WORKERS:
        story.step(Received(worker, Saved(Epoch(1), story.checkpoint, [worker])))
    story.step(WorkerLost(B, Epoch(1), "killed"))
    assert story.watch.rounds.is_under_way
    story.step(ManifestWritten(1, 1))
    assert story.watch.rounds.committed == 1


def test_the_sum_of_a_run_is_known_once_it_is_drained() -> None:
    story = running()
    story.go_to(Phase.DRAINING)
    assert story.watch.totals == {}
    for worker in WORKERS:
        counts = counted_source(worker, 3, 1)
        story.step(Received(worker, Drained(Epoch(1), story.checkpoint, Epoch(1), counts)))
    assert story.watch.totals == {"record_count": 6, "failure_count": 2}
