"""Clusters whose sources have an end: once all have ended, the cluster stops by itself."""

from collections.abc import Sequence

import pytest

from tests.wallaroo.coordinator.story import WORKERS, A, B, Story, ended, sources_of
from wallaroo.coordinator.coordinator import Phase
from wallaroo.coordinator.ended_sources import EndedSources
from wallaroo.coordinator.events import DrainRequested, Effect, Received, Send
from wallaroo.coordinator.stop_intent import AtStop
from wallaroo.errors import ClusterError
from wallaroo.names import CheckpointId, Epoch, WorkerName
from wallaroo.wire.control import Drain, Drained, SourcesEnded

FIRST = CheckpointId(1)


def story_of(*source_workers: WorkerName) -> Story:
    return Story(sources=sources_of(*source_workers))


def reported(
    story: Story, worker: WorkerName, *pipelines: int, problems: Sequence[str] = ()
) -> list[Effect]:
    return story.step(Received(worker, SourcesEnded(story.epoch, [*pipelines], [*problems])))


def all_drained(story: Story) -> list[Effect]:
    return story.all_say(Drained(story.epoch, FIRST))


def drain_in(effects: Sequence[Effect]) -> list[Effect]:
    return [each for each in effects if isinstance(each, Send) and isinstance(each.frame, Drain)]


def test_nothing_has_ended_at_the_start_and_without_sources_nothing_ever_has() -> None:
    assert not EndedSources(1).are_all
    assert not EndedSources(0).are_all


def test_once_all_sources_have_ended_the_cluster_stops_in_order() -> None:
    story = story_of(A, B, A)
    story.go_to(Phase.RUNNING)
    assert reported(story, A, 2) == []
    assert reported(story, B, 1) == []
    assert reported(story, A, 0, 2) == [Send(WORKERS, Drain(Epoch(1), FIRST))]
    assert ended(all_drained(story)) is None


def test_a_source_without_an_end_keeps_the_cluster_running() -> None:
    story = story_of(A, WorkerName(""))
    story.go_to(Phase.RUNNING)
    assert reported(story, A, 0) == []
    assert story.phase is Phase.RUNNING


def test_sources_that_end_before_all_have_opened_are_waited_with() -> None:
    story = story_of(A)
    story.go_to(Phase.OPENING)
    assert reported(story, A, 0) == []
    effects = story.go_to(Phase.DRAINING)
    assert drain_in(effects) == [Send(WORKERS, Drain(Epoch(1), FIRST))]


def test_a_stop_that_was_asked_for_meanwhile_is_one_stop() -> None:
    story = story_of(A)
    story.go_to(Phase.DRAINING)
    assert reported(story, A, 0) == []
    assert ended(all_drained(story)) is None


def test_sources_of_a_lost_worker_begin_again_and_the_others_tell_again() -> None:
    story = story_of(A, B)
    story.go_to(Phase.RUNNING)
    reported(story, B, 1)
    story.lose(B)
    assert story.step(Received(A, SourcesEnded(Epoch(1), [0], []))) == []
    story.join(B)
    assert story.epoch == 2
    story.go_to(Phase.RUNNING)
    assert reported(story, A, 0) == []
    assert drain_in(reported(story, B, 1)) != []


def test_a_source_that_was_not_read_to_its_end_is_an_error_of_the_run() -> None:
    story = story_of(A, B)
    story.go_to(Phase.RUNNING)
    reported(story, A, 0, problems=["in.bin was not read to its end"])
    reported(story, A, 0, problems=["in.bin was not read to its end"])
    reported(story, B, 1)
    error = ended(all_drained(story))
    assert isinstance(error, ClusterError)
    assert str(error) == "in.bin was not read to its end"


def test_a_source_that_all_workers_run_has_ended_once_it_has_on_each() -> None:
    story = story_of(WorkerName(""), B)
    story.go_to(Phase.RUNNING)
    assert reported(story, B, 0, 1) == []
    assert reported(story, B, 0, 1) == [], "it still runs on the other worker"
    assert drain_in(reported(story, A, 0)) != []


@pytest.mark.parametrize("is_durable", [False, True])
@pytest.mark.parametrize("have_ended", [False, True])
def test_windows_fire_at_the_end_unless_the_next_run_goes_on_with_them(
    is_durable: bool, have_ended: bool
) -> None:
    story = Story(sources=sources_of(A), is_durable=is_durable, has_time=True)
    story.go_to(Phase.RUNNING)
    effects = reported(story, A, 0) if have_ended else story.step(DrainRequested())
    (drain,) = drain_in(effects)
    assert isinstance(drain, Send)
    assert isinstance(drain.frame, Drain)
    assert drain.frame.is_final is (have_ended or not is_durable)


@pytest.mark.parametrize("is_durable", [False, True])
@pytest.mark.parametrize("have_ended", [False, True])
@pytest.mark.parametrize("at_stop", [AtStop.KEEP, AtStop.FLUSH])
def test_the_user_chooses_what_a_stop_does_with_windows_but_not_what_the_end_does(
    is_durable: bool, have_ended: bool, at_stop: AtStop
) -> None:
    story = Story(sources=sources_of(A), is_durable=is_durable, has_time=True, at_stop=at_stop)
    story.go_to(Phase.RUNNING)
    effects = reported(story, A, 0) if have_ended else story.step(DrainRequested())
    (drain,) = drain_in(effects)
    assert isinstance(drain, Send)
    assert isinstance(drain.frame, Drain)
    assert drain.frame.is_final is (have_ended or at_stop is AtStop.FLUSH)
