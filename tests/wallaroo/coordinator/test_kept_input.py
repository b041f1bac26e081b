"""Journals that are missing in a recovery: reported, and the run ends unless that is allowed."""

from typing import Any

import pytest

from tests.wallaroo.coordinator.played_worker import joins
from tests.wallaroo.coordinator.story import WORKERS, A, B, C, Story, assigned
from wallaroo.checkpoint.journal import JournalExtent
from wallaroo.checkpoint.lost_input import NeededInput
from wallaroo.checkpoint.manifest import JournalPosition
from wallaroo.coordinator.coordinator import Phase
from wallaroo.coordinator.events import Announce, Effect, EndCluster, Received
from wallaroo.errors import WallarooError
from wallaroo.names import Epoch, WorkerName
from wallaroo.wire.control import Opened, Ready

OF_A, OF_B = "a-0000000001", "b-0000000001"
NEW_OF_B = "b-0000000002"


def position(journal: str, offset: int = 500, **facts: Any) -> JournalPosition:
    return JournalPosition(journal, offset, {}, **facts)


def extent(journal: str, end: int = 900, begin: int = 0) -> JournalExtent:
    return JournalExtent(journal, begin, begin, end)


def begun(*needed: JournalPosition, **changes: Any) -> Story:
    """Return a cluster that begins with checkpoint 7, which needs these journals."""
    return Story(is_durable=True, manifest=8, needed_input=NeededInput(7, needed), **changes)


def running(*needed: JournalPosition, **changes: Any) -> Story:
    story = begun(*needed, **changes)
    for worker in story.workers:
        story.journals[worker] = [of(worker, 1), *(extent(each.journal) for each in needed)]
    story.go_to(Phase.RUNNING)
    return story


def of(worker: WorkerName, epoch: int) -> JournalExtent:
    return extent(f"{worker}-{epoch:010}", end=10)


def last_join(story: Story, *first: WorkerName, last: WorkerName) -> list[Effect]:
    """All join; return everything that follows from the last one, announcements too."""
    story.join(*first)
    (frame,) = joins(story.played[last], story.journals.get(last))
    return story.coordinator.step(Received(last, frame))


def lost_in(effects: list[Effect]) -> list[Announce]:
    told = [each for each in effects if isinstance(each, Announce)]
    return [each for each in told if each.event == "journals.lost"]


def refused(effects: list[Effect]) -> WallarooError:
    end = effects[-1]
    assert isinstance(end, EndCluster)
    assert end.error is not None
    return end.error


def test_a_journal_that_a_checkpoint_names_and_nobody_has_ends_the_start() -> None:
    story = begun(position(OF_A), position(OF_B))
    story.journals = {A: [extent(OF_A)], B: []}
    effects = last_join(story, A, last=B)
    (line,) = lost_in(effects)
    assert line.is_error
    assert line.values == {
        "worker": "b",
        "journal": OF_B,
        "file": f"/disk of b/{OF_B}",
        "expected_bytes": 500,
        "actual_bytes": 0,
        "from_offset": 500,
        "since_checkpoint": 7,
    }
    error = refused(effects)
    assert error.exit_code == 1
    assert f"/disk of b/{OF_B}: what was read from offset 500 on is missing" in error.what
    assert "checkpoint 7 needs" in error.what
    assert "--allow-lost-input" in error.hint


def test_a_journal_that_is_shorter_than_its_position_ends_the_start() -> None:
    story = begun(position(OF_A, end=700))
    story.journals = {A: [JournalExtent(OF_A, 100, 600, 650)]}
    error = refused(last_join(story, A, last=B))
    file = f"/disk of a/{OF_A}/0000000000000600"
    assert f"{file}: it holds 50 bytes, and had at least 100" in error.what


def test_with_everything_there_the_start_goes_on() -> None:
    story = begun(position(OF_A), position(OF_B))
    story.journals = {A: [extent(OF_A, end=500)], B: [extent(OF_B, begin=500)]}
    assert not lost_in(last_join(story, A, last=B))
    assert story.phase is Phase.CONNECTING


def test_a_journal_that_is_finished_may_be_gone() -> None:
    story = begun(position(OF_A, is_finished=True), position("gone-0000000001", is_finished=True))
    assert assigned(story.join(A, B)).given_up == []


def test_a_lost_journal_that_is_allowed_is_told_to_those_who_replay() -> None:
    story = begun(position(OF_A), position(OF_B), may_lose_input=True, is_patient=True)
    story.journals = {A: [extent(OF_A, end=300)], B: []}
    assert [each.values["journal"] for each in lost_in(last_join(story, A, last=B))] == [OF_A, OF_B]
    story.lose(A)
    # Said once, and known as long as all go back to that checkpoint.
    assert assigned(story.join(A, B)).given_up == [OF_A, OF_B]


def test_the_next_checkpoint_does_without_what_was_lost() -> None:
    story = running(position(OF_A), may_lose_input=True)
    story.journals[A] = []
    story.lose(A)
    assert assigned(story.join(A, B)).given_up == [OF_A]
    story.go_to(Phase.RUNNING)
    story.due()
    story.save()
    story.written(9)
    story.lose(A)
    assert assigned(story.join(A, B)).given_up == []


@pytest.mark.parametrize("is_named", [True, False], ids=["named", "newer"])
def test_a_worker_that_comes_back_without_its_disk_ends_the_run(is_named: bool) -> None:
    story = running()
    if is_named:
        story.due()
        story.save()
        story.written(9, position(OF_A), position(OF_B))
        story.journals[A] = [extent(OF_A)]
    story.lose(B)
    story.journals[B] = [extent(NEW_OF_B, end=10)]
    effects = last_join(story, A, last=B)
    assert [each.values["journal"] for each in lost_in(effects)] == [OF_B]
    assert refused(effects).what.count(OF_B) == 1


def test_a_process_whose_sources_were_never_opened_has_lost_nothing() -> None:
    story = begun()
    story.journals = {A: [of(A, 1)], B: [of(B, 1)]}
    story.go_to(Phase.CONNECTING)
    # This one begins anew without a journal, and so without the option nothing is said.
    story = begun(is_patient=True)
    story.journals = {A: [of(A, 1)], B: []}
    story.lose(B)
    story.journals[B] = [of(B, 2)]
    assert not lost_in(last_join(story, A, last=B))


def test_what_an_earlier_run_left_and_was_there_at_the_start_must_stay_there() -> None:
    old = "b-0000000000"
    story = begun()
    story.journals = {A: [of(A, 1)], B: [extent(old), of(B, 1)]}
    story.go_to(Phase.RUNNING)
    story.lose(B)
    story.journals[B] = [of(B, 1)]
    (line,) = lost_in(last_join(story, A, last=B))
    assert (line.values["journal"], line.values["expected_bytes"]) == (old, 900)


def test_a_journal_of_a_worker_that_left_must_be_where_its_successor_is() -> None:
    left = "c-0000000001"
    for extents, is_lost in (([extent(left)], False), ([], True)):
        story = begun(position(left))
        story.journals = {A: [*extents], B: [*extents]}
        assert bool(lost_in(last_join(story, A, last=B))) == is_lost


def test_a_journal_that_another_worker_has_is_said_to_be_there() -> None:
    story = begun(position(OF_A), position(OF_B))
    story.journals = {A: [extent(OF_B)], B: [extent(OF_A)]}
    effects = last_join(story, A, last=B)
    assert [each.values["held_by"] for each in lost_in(effects)] == ["b", "a"]
    assert "start worker a there" in refused(effects).hint


def test_nothing_is_decided_while_a_manifest_is_written() -> None:
    story = running(position(OF_A))
    story.due()
    story.save()
    story.lose(A)
    story.journals[A] = []
    assert last_join(story, A, last=B)[1:] == []
    # The checkpoint that is decided now has no more need of it.
    assert assigned(story.written(9, position(OF_A, is_finished=True))).manifest == 9


def test_many_lost_journals_are_named_by_some_and_a_number() -> None:
    story = begun(*(position(f"a-{epoch:010}") for epoch in range(1, 6)))
    effects = last_join(story, A, last=B)
    assert len(lost_in(effects)) == 5
    assert "and 2 more" in refused(effects).what


def test_without_kept_input_nothing_is_looked_for() -> None:
    story = Story(is_durable=True)
    story.go_to(Phase.RUNNING)
    story.lose(B)
    assert assigned(story.join(A, B)).given_up == []


def test_a_worker_that_joined_later_is_known_too() -> None:
    story = running()
    story.ask_resize(added=[C])
    story.journals[C] = [of(C, 2)]
    story.join(C)
    story.gather()
    story.hold()
    story.move()
    story.all_say(Ready(Epoch(2)))
    story.all_say(Opened(Epoch(2)))
    story.lose(C)
    story.journals[C] = [of(C, 3)]
    effects = last_join(story, *WORKERS, last=C)
    assert [each.values["journal"] for each in lost_in(effects)] == ["c-0000000002"]
