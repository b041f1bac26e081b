"""Splits of sources: when workers get them, what a loss and a resize do to them, and their ends."""

from collections.abc import Sequence
from typing import Any

from tests.wallaroo.coordinator.story import A, B, C, Story, membership, sources_of
from wallaroo.checkpoint.manifest import WorkerCheckpoint
from wallaroo.checkpoint.split_positions import SplitKind, SplitPosition, to_share
from wallaroo.coordinator.coordinator import Phase
from wallaroo.coordinator.events import Answer, Effect, Publish, Received, Send
from wallaroo.coordinator.splits import SplitLedger
from wallaroo.names import WorkerName
from wallaroo.wire.control import (
    FRAME_BYTES_MAX,
    Assign,
    Checkpoint,
    ControlFrame,
    Drain,
    Gather,
)
from wallaroo.wire.splits import Discovered, Splits, SplitsEnded, SplitsStarted

AT = SplitPosition(SplitKind.AT, [40, 2])
ENDED = SplitPosition(SplitKind.ENDED, "")


def story(
    *,
    finds_more: bool = True,
    is_durable: bool = True,
    known: dict[WorkerName, Any] | None = None,
    manifest: int = 0,
) -> Story:
    """Return a cluster whose only source is read by split."""
    ledger = SplitLedger({0: finds_more}, is_durable=is_durable)
    shares = (known or {}).items()
    ledger.restore(WorkerCheckpoint(name, [], [], {0: each}, [], {}) for name, each in shares)
    ledger.for_members((A, B))
    return Story(is_durable=is_durable, sources=sources_of(""), splits=ledger, manifest=manifest)


def running(**facts: Any) -> Story:
    begun = story(**facts)
    begun.go_to(Phase.RUNNING)
    return begun


def discover(cluster: Story, worker: WorkerName, *splits: str) -> list[Effect]:
    return cluster.say(worker, Discovered(cluster.epoch, 0, [*splits], is_last=True))


def given(effects: Sequence[Effect]) -> dict[tuple[WorkerName, str], SplitPosition]:
    """Return which worker gets which split, and from where it is to read it."""
    found: dict[tuple[WorkerName, str], SplitPosition] = {}
    for effect in effects:
        if not isinstance(effect, Send) or not isinstance(effect.frame, Splits):
            continue
        (worker,), frame = effect.workers, effect.frame
        for split, position in zip(
            frame.splits, frame.positions or [None] * len(frame.splits), strict=True
        ):
            found[worker, split] = SplitPosition(SplitKind(frame.kind), position)
    return found


def orders(effects: Sequence[Effect], kind: type[ControlFrame]) -> list[ControlFrame]:
    sends = (effect for effect in effects if isinstance(effect, Send))
    return [send.frame for send in sends if isinstance(send.frame, kind)]


def kinds(effects: Sequence[Effect]) -> dict[str, SplitKind]:
    return {split: position.kind for (_, split), position in given(effects).items()}


# Discovery


def test_each_split_goes_to_one_worker() -> None:
    found = given(discover(running(), A, "x", "y"))
    assert {worker for worker, _ in found} == {A, B}
    assert kinds(discover(running(), A, "x", "y")) == {
        "x": SplitKind.INITIAL,
        "y": SplitKind.INITIAL,
    }


def test_a_split_that_is_found_again_goes_to_nobody() -> None:
    cluster = running()
    discover(cluster, A, "x", "y")
    assert discover(cluster, A, "x", "y") == []
    assert kinds(discover(cluster, A, "x", "z")) == {"z": SplitKind.NEW}


def test_it_is_announced_which_source_has_further_splits() -> None:
    cluster = running()
    discovered = Discovered(cluster.epoch, 0, ["x", "y"], is_last=True)
    (line,) = cluster.announced(Received(A, discovered))
    assert (line.event, line.values) == ("source.discovered", {"pipeline": "p0", "splits": 2})
    assert cluster.announced(Received(A, discovered)) == []


def test_an_answer_in_several_frames_is_one_discovery() -> None:
    cluster = running()
    assert cluster.say(A, Discovered(cluster.epoch, 0, ["x"], is_last=False)) == []
    assert kinds(discover(cluster, A, "y")) == {"x": SplitKind.INITIAL, "y": SplitKind.INITIAL}


def test_splits_wait_until_all_workers_have_opened_their_sources() -> None:
    cluster = story()
    cluster.go_to(Phase.OPENING)
    assert discover(cluster, A, "x") == []
    ((_, split),) = given(cluster.go_to(Phase.RUNNING))
    assert split == "x"


def test_what_an_older_epoch_discovered_is_dropped() -> None:
    cluster = running()
    late = Discovered(cluster.epoch, 0, ["x"], is_last=True)
    cluster.lose(B)
    cluster.go_to(Phase.RUNNING)
    assert cluster.say(A, late) == []


# The first positions


def test_a_checkpoint_follows_once_all_first_positions_are_known() -> None:
    cluster = running()
    discover(cluster, A, "x", "y")
    assert cluster.say(A, SplitsStarted(cluster.epoch, 0)) == []
    assert orders(cluster.say(B, SplitsStarted(cluster.epoch, 0)), Checkpoint)


def test_it_waits_for_the_checkpoint_that_is_being_taken() -> None:
    cluster = running()
    cluster.due()
    discover(cluster, A, "x", "y")
    cluster.say(A, SplitsStarted(cluster.epoch, 0))
    assert not orders(cluster.say(B, SplitsStarted(cluster.epoch, 0)), Checkpoint)
    cluster.save()
    assert orders(cluster.written(1), Checkpoint)


def test_without_checkpoints_none_is_taken() -> None:
    cluster = running(is_durable=False)
    discover(cluster, A, "x", "y")
    cluster.say(A, SplitsStarted(cluster.epoch, 0))
    assert not orders(cluster.say(B, SplitsStarted(cluster.epoch, 0)), Checkpoint)


def test_the_application_is_ready_when_all_first_positions_are_known() -> None:
    cluster = story(is_durable=False)
    assert published(cluster.go_to(Phase.RUNNING)) == []
    assert published(discover(cluster, A, "x", "y")) == []
    assert published(cluster.say(A, SplitsStarted(cluster.epoch, 0))) == []
    started = cluster.say(B, SplitsStarted(cluster.epoch, 0))
    assert published(started) == [Publish(cluster.epoch, is_again=False)]
    cluster.lose(B)
    # The positions of all others are known: nothing has to be asked before it is ready again.
    assert published(cluster.go_to(Phase.RUNNING)) == [Publish(cluster.epoch, is_again=True)]


def test_an_application_without_any_split_is_ready_when_it_has_looked_for_them() -> None:
    cluster = story()
    assert published(cluster.go_to(Phase.RUNNING)) == []
    assert published(discover(cluster, A)) == [Publish(cluster.epoch, is_again=False)]


def published(effects: Sequence[Effect]) -> list[Effect]:
    return [each for each in effects if isinstance(each, Publish)]


# Starts and losses


def test_a_run_gives_its_workers_the_splits_of_its_checkpoint_after_the_members() -> None:
    cluster = story(known={A: to_share({"x": AT}), B: to_share({"y": ENDED})})
    effects = cluster.join(A, B)
    assert next(type(each.frame) for each in effects if isinstance(each, Send)) is Assign
    assert given(effects).keys() == {(A, "x"), (B, "y")}


def test_a_run_asks_its_sources_where_it_goes_on_until_it_has_a_checkpoint() -> None:
    cluster = story(known={A: to_share({"x": AT}), B: to_share({"y": ENDED})}, manifest=7)
    assert kinds(cluster.join(A, B)) == dict.fromkeys("xy", SplitKind.EARLIER)
    cluster.go_to(Phase.RUNNING)
    cluster.lose(B)
    assert kinds(cluster.join(A, B)) == dict.fromkeys("xy", SplitKind.EARLIER)
    cluster.go_to(Phase.RUNNING)
    cluster.due()
    cluster.save()
    cluster.written(8)
    cluster.lose(B)
    assert kinds(cluster.join(A, B)) == dict.fromkeys("xy", SplitKind.INITIAL)


def test_a_run_without_an_earlier_one_asks_for_first_positions_alone() -> None:
    cluster = running()
    discover(cluster, A, "x", "y")
    cluster.lose(B)
    assert kinds(cluster.join(A, B)) == dict.fromkeys("xy", SplitKind.INITIAL)


def test_after_a_loss_every_worker_gets_its_splits_again() -> None:
    cluster = running()
    before = given(discover(cluster, A, "x", "y")).keys()
    cluster.lose(B)
    assert given(cluster.join(A, B)).keys() == before


def test_without_checkpoints_only_the_successor_gets_splits() -> None:
    cluster = running(is_durable=False)
    before = given(discover(cluster, A, "x", "y"))
    cluster.lose(B)
    assert given(cluster.join(B)) == {key: value for key, value in before.items() if key[0] == B}


def test_without_checkpoints_a_worker_lost_while_another_is_missing_gets_its_splits_too() -> None:
    cluster = running(is_durable=False)
    before = given(discover(cluster, A, "x", "y")).keys()
    cluster.lose(A)
    cluster.join()
    cluster.lose(B)
    cluster.join(A)
    assert given(cluster.join(B)).keys() == before


# Resizes


def resized(cluster: Story) -> list[Effect]:
    """Let the splits of the worker that leaves move; return the effects of the commit."""
    mine = {
        split: AT for split, owner in cluster.coordinator.splits.owners[0].items() if owner == B
    }
    cluster.ask_resize([C], [B])
    cluster.join(C)
    cluster.gather()
    cluster.empty()
    cluster.hold(splits={B: {0: to_share(mine)}})
    return cluster.move()


def test_givers_learn_what_moves_before_anything_pauses() -> None:
    cluster = running()
    discover(cluster, A, "x", "y")
    (moving,) = (s for s, owner in cluster.coordinator.splits.owners[0].items() if owner == B)
    cluster.ask_resize([C], [B])
    (gather,) = orders(cluster.join(C), Gather)
    assert isinstance(gather, Gather)
    assert gather.splits == [[0, B, [moving]]]


def test_a_resize_that_moves_more_splits_than_fit_into_a_frame_is_called_off() -> None:
    """Its receivers would close their links, and so all workers would be lost."""
    cluster = running()
    length = FRAME_BYTES_MAX // 600
    discover(cluster, A, *(f"{number:{length}}" for number in range(1_300)))
    cluster.ask_resize([C], [B])
    effects = cluster.join(C)
    assert orders(effects, Gather) == []
    (answer,) = (each for each in effects if isinstance(each, Answer))
    assert not answer.ok
    assert answer.text.startswith("650 splits would move, more than fit into one frame: stop the")
    assert cluster.phase is Phase.RUNNING


def test_takers_go_on_where_givers_were_at_the_barrier() -> None:
    cluster = running()
    discover(cluster, A, "x", "y")
    effects = resized(cluster)
    sends = [each.frame for each in effects if isinstance(each, Send)]
    assert isinstance(sends[0], Assign)
    assert [*given(effects).values()] == [AT]
    assert {worker for worker, _ in given(effects)} == {C}


def test_splits_that_are_found_while_others_move_wait_for_the_commit() -> None:
    cluster = running()
    discover(cluster, A, "x", "y")
    cluster.ask_resize([C], [B])
    cluster.join(C)
    assert discover(cluster, A, "x", "y", "z") == []
    assert kinds(cluster.lose(C)) == {"z": SplitKind.NEW}


def test_after_a_resize_a_loss_gives_splits_to_their_new_readers() -> None:
    cluster = running()
    discover(cluster, A, "x", "y")
    resized(cluster)
    cluster.workers = (A, C)
    cluster.go_to(Phase.RUNNING)
    cluster.lose(C)
    readers = {worker for worker, _ in given(cluster.join(A, C))}
    assert readers == {A, C}


# Ends


def test_the_run_ends_when_all_splits_have_ended() -> None:
    cluster = running(finds_more=False)
    found = given(discover(cluster, A, "x", "y"))
    (first, split), (second, other) = found
    assert cluster.say(first, SplitsEnded(cluster.epoch, 0, {split: ""})) == []
    assert orders(cluster.say(second, SplitsEnded(cluster.epoch, 0, {other: ""})), Drain)


def test_it_does_not_end_while_more_splits_may_be_found() -> None:
    cluster = running(finds_more=True)
    discover(cluster, A, "x")
    assert cluster.say(A, SplitsEnded(cluster.epoch, 0, {"x": ""})) == []


def test_it_ends_when_the_only_discovery_finds_nothing() -> None:
    assert orders(discover(running(finds_more=False), A), Drain)


def test_splits_that_ended_before_a_checkpoint_do_not_end_the_run_before_a_discovery() -> None:
    cluster = story(finds_more=False, known={A: to_share({"x": ENDED})})
    cluster.go_to(Phase.RUNNING)
    assert cluster.say(A, SplitsEnded(cluster.epoch, 0, {"x": ""})) == []
    assert orders(discover(cluster, A, "x"), Drain)


def test_a_split_that_broke_off_is_an_error_of_the_run() -> None:
    cluster = running(finds_more=False, is_durable=False)
    ((worker, split),) = given(discover(cluster, A, "x"))
    cluster.say(worker, SplitsEnded(cluster.epoch, 0, {split: "split x is damaged"}))
    effects = cluster.drained()
    assert "split x is damaged" in str(effects[-1])


def test_the_members_at_the_start_have_no_splits_if_nothing_says_so() -> None:
    assert membership().splits.owners == {}
