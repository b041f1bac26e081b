"""The machine of sinks that prepare results: what is called, in which order, and again."""

import random
from typing import Any

import pytest

from wallaroo.checkpoint.manifest import Prepared
from wallaroo.checkpoint.prepared import PreparedStart
from wallaroo.names import NO_BARRIER, CheckpointId, SinkId, WorkerName
from wallaroo.worker.retries import AGAIN_FIRST_S, AGAIN_MAX_S
from wallaroo.worker.two_phases import (
    Abort,
    Call,
    Commit,
    ListPrepared,
    Open,
    Prepare,
    TwoPhases,
    Write,
)

W1 = WorkerName("w1")
SINK = SinkId(0)
FIRST, SECOND, THIRD = CheckpointId(1), CheckpointId(2), CheckpointId(3)


def prepared(token: bytes, cut: CheckpointId = FIRST) -> Prepared:
    return Prepared(SINK, token, cut)


class Target:
    """Plays the author's sink: rows become visible by a commit, in any process."""

    def __init__(self) -> None:
        self.hidden: dict[bytes, tuple[str, list[Any]]] = {}
        self.visible: list[Any] = []
        self.slot = ""
        self.rows: list[Any] = []
        self.count = 0

    def answer(self, call: Call) -> Any:
        match call:
            case Open(slot):
                self.slot, self.rows = slot, []
            case ListPrepared():
                return [token for token, (slot, _) in self.hidden.items() if slot == self.slot]
            case Write(rows):
                self.rows += rows
            case Prepare():
                self.count += 1
                token = b"t%d" % self.count
                self.hidden[token] = self.slot, self.rows
                self.rows = []
                return token
            case Commit(token):
                self.visible += self.hidden.pop(token, ("", []))[1]
            case Abort(token):
                self.hidden.pop(token, None)
        return None


class Played:
    """A machine that is driven by hand."""

    def __init__(
        self,
        start: PreparedStart | None = None,
        target: Target | None = None,
        worker: WorkerName = W1,
    ) -> None:
        self.target = target or Target()
        self.machine = TwoPhases(worker, SINK, bytes_max=100)
        self.machine.begin(start or PreparedStart())
        self.calls: list[Call] = []

    def run(self) -> list[Call]:
        """Answer all calls; return what was called."""
        self.calls = []
        while (call := self.machine.next_call()) is not None:
            self.calls.append(call)
            self.machine.done(call, self.target.answer(call))
        return self.calls

    def fail(self, *, is_done: bool = False) -> Call:
        """Let the next call fail, perhaps after it had its effect."""
        call = self.machine.next_call()
        assert call is not None
        if is_done:
            self.target.answer(call)
        self.machine.failed(call)
        return call

    def run_until(self, kind: type[Call]) -> None:
        while not isinstance(call := self.machine.next_call(), kind):
            assert call is not None
            self.machine.done(call, self.target.answer(call))


def test_rows_are_written_as_they_come_prepared_at_the_cut_and_committed_by_the_manifest() -> None:
    played = Played()
    assert played.run() == [Open(W1, 0.0), ListPrepared()]
    assert played.machine.is_ready
    assert played.machine.add(["a", "b"]) == 2
    assert played.run() == [Write(["a", "b"])]
    played.machine.cut(FIRST)
    assert not played.machine.is_prepared(FIRST)
    played.machine.add(["later"])
    assert played.run() == [Prepare(), Write(["later"])]
    assert played.machine.is_settled(FIRST)
    assert played.machine.uncommitted(FIRST) == [prepared(b"t1")]
    assert played.target.visible == []
    played.machine.committed(FIRST)
    assert not played.machine.is_settled(FIRST)
    assert played.run() == [Commit(b"t1")]
    assert played.target.visible == ["a", "b"]
    assert played.machine.settled_bytes == 2
    assert not played.machine.is_finished


def test_an_interval_without_results_prepares_nothing() -> None:
    played = Played()
    played.run()
    played.machine.cut(FIRST)
    assert played.run() == []
    assert played.machine.is_settled(FIRST)
    assert played.machine.is_finished


def test_a_sink_may_have_prepared_nothing() -> None:
    played = Played()
    played.machine.add(["a"])
    played.machine.cut(FIRST)
    played.run_until(Prepare)
    played.machine.done(Prepare(), None)
    played.run()
    assert played.machine.uncommitted(FIRST) == []
    assert played.machine.is_finished
    assert played.machine.settled_bytes == 1


def test_what_follows_the_barrier_is_not_committed_with_it() -> None:
    played = Played()
    for barrier in (FIRST, SECOND):
        played.machine.add([f"before {barrier}"])
        played.machine.cut(barrier)
    played.run()
    assert played.machine.uncommitted(FIRST) == [prepared(b"t1")]
    played.machine.committed(FIRST)
    assert played.run() == [Commit(b"t1")]
    assert played.machine.uncommitted(SECOND) == [prepared(b"t2", SECOND)]


def test_what_an_abandoned_checkpoint_prepared_joins_the_next_share() -> None:
    played = Played()
    played.machine.add(["a"])
    played.machine.cut(FIRST)
    played.run()
    played.machine.add(["b"])
    played.machine.cut(SECOND)
    played.run()
    tokens = [prepared(b"t1"), prepared(b"t2", SECOND)]
    assert played.machine.uncommitted(SECOND) == tokens
    played.machine.committed(SECOND)
    assert played.run() == [Commit(b"t1"), Commit(b"t2")]


def test_much_is_prepared_in_parts_that_the_next_cut_names() -> None:
    played = Played()
    played.machine.add(["x" * 100])
    assert played.run()[-1] == Prepare()
    assert played.machine.uncommitted(FIRST) == []
    played.machine.committed(FIRST)
    assert played.run() == []
    played.machine.add(["y"])
    played.machine.cut(SECOND)
    played.run()
    tokens = [prepared(b"t1", SECOND), prepared(b"t2", SECOND)]
    assert played.machine.uncommitted(SECOND) == tokens


def test_a_recovery_commits_what_is_named_and_aborts_the_rest_before_it_is_ready() -> None:
    target = Target()
    target.hidden = {
        b"mine": (W1, ["a"]),
        b"unnamed": (W1, ["no"]),
        b"of another": (W1, ["b"]),
        b"left": ("w2", ["c"]),
        b"left unnamed": ("w2", ["no"]),
        b"foreign": ("w3", ["d"]),
    }
    mine = (prepared(b"mine"), prepared(b"left"))
    named = (*mine, prepared(b"of another"))
    played = Played(PreparedStart(mine=mine, named=named, slots=("w2",)), target)
    assert played.run() == [
        Open("w2", 0.0),
        Commit(b"mine"),
        Commit(b"left"),
        ListPrepared(),
        Abort(b"left unnamed"),
        Open(W1, 0.0),
        ListPrepared(),
        Abort(b"unnamed"),
    ]
    assert played.machine.is_ready
    assert target.visible == ["a", "c"]
    assert target.hidden.keys() == {b"of another", b"foreign"}


def test_it_is_not_ready_while_something_named_is_not_committed() -> None:
    played = Played(PreparedStart(mine=(prepared(b"mine"),), named=(prepared(b"mine"),)))
    played.run_until(Commit)
    played.fail()
    assert not played.machine.is_ready
    played.run()
    assert played.machine.is_ready


def test_a_worker_that_joins_aborts_nothing_under_its_name() -> None:
    target = Target()
    target.hidden = {b"inherited": (W1, ["a"])}
    played = Played(PreparedStart(spares=True), target)
    assert played.run() == [Open(W1, 0.0), ListPrepared()]
    played.machine.add(["b"])
    played.run_until(Write)
    played.fail()
    assert Abort(b"inherited") not in played.run()


def test_after_a_failure_everything_that_is_not_prepared_is_written_again() -> None:
    played = Played()
    played.machine.add(["a"])
    played.run()
    played.machine.add(["b"])
    played.fail()
    calls = [Open(W1, AGAIN_FIRST_S), ListPrepared(), Write(["a"]), Write(["b"])]
    assert played.run() == calls
    assert played.target.rows == ["a", "b"]


@pytest.mark.parametrize("is_done", [False, True])
def test_a_prepare_whose_answer_is_lost_is_repeated_and_its_work_aborted(is_done: bool) -> None:
    played = Played()
    played.machine.add(["a"])
    played.machine.cut(FIRST)
    played.run_until(Prepare)
    played.fail(is_done=is_done)
    assert (Abort(b"t1") in played.run()) is is_done
    played.machine.committed(FIRST)
    played.run()
    assert played.target.visible == ["a"]
    assert played.target.hidden == {}


def test_a_failure_aborts_nothing_that_a_share_may_name() -> None:
    played = Played()
    played.machine.add(["a"])
    played.machine.cut(FIRST)
    played.run()
    played.machine.add(["b"])
    played.fail()
    assert Abort(b"t1") not in played.run()


@pytest.mark.parametrize("order", ["committed", "give_away"])
def test_an_order_while_the_sink_is_asked_does_not_make_its_token_unknown(order: str) -> None:
    played = Played()
    played.machine.add(["a"])
    played.machine.cut(FIRST)
    played.run()
    played.machine.add(["b"])
    played.fail()
    played.run_until(ListPrepared)
    tokens = played.target.answer(ListPrepared())
    assert tokens == [b"t1"]
    if order == "committed":
        played.machine.committed(FIRST)
    else:
        played.machine.give_away()
    played.machine.done(ListPrepared(), tokens)
    assert Abort(b"t1") not in played.run()


def test_pauses_grow_until_the_call_that_failed_succeeds() -> None:
    played = Played()
    played.machine.add(["a"])
    played.run()
    played.machine.cut(FIRST)
    pauses = []
    for _ in range(12):
        played.run_until(Prepare)
        played.fail()
        # What was written before is written again, which is not progress.
        call = played.machine.next_call()
        assert isinstance(call, Open)
        pauses.append(call.after_s)
    assert pauses[:3] == [AGAIN_FIRST_S, 2 * AGAIN_FIRST_S, 4 * AGAIN_FIRST_S]
    assert pauses[-1] == AGAIN_MAX_S
    assert played.machine.is_failing
    played.run()
    assert not played.machine.is_failing


def test_refused_rows_are_not_written_again() -> None:
    played = Played()
    played.machine.add(["a", "b"])
    played.run_until(Write)
    played.machine.refused(["a"])
    played.fail()
    assert played.run()[-1] == Write(["a"])


def test_a_batch_that_is_refused_as_a_whole_is_settled() -> None:
    played = Played()
    played.machine.add(["a"])
    played.machine.cut(FIRST)
    played.run_until(Write)
    played.machine.refused([])
    played.machine.done(Write([]))
    assert played.run() == []
    assert played.machine.is_finished
    assert played.machine.settled_bytes == 1


def test_the_backlog_is_what_the_sink_was_not_given() -> None:
    played = Played()
    played.machine.add(["abc"])
    assert played.machine.backlog_bytes == 3
    played.run()
    assert played.machine.backlog_bytes == 0
    played.machine.add(["d"])
    played.fail()
    assert played.machine.backlog_bytes == 4


def test_a_successor_commits_what_a_worker_that_left_has_prepared_with_the_next_share() -> None:
    played = Played()
    for barrier in (FIRST, SECOND):
        played.machine.add([f"before {barrier}"])
        played.machine.cut(barrier)
        played.run()
    played.machine.committed(FIRST)
    left = played.machine.leaving(SECOND)
    assert left == [prepared(b"t1"), prepared(b"t2", SECOND)]
    played.machine.give_away()
    # It may commit what the manifest names already.
    assert played.run() == [Commit(b"t1")]
    assert played.machine.is_finished
    assert played.machine.settled_bytes == played.machine.added_bytes
    successor = Played(target=played.target, worker=WorkerName("w2"))
    successor.run()
    successor.machine.inherit(left)
    successor.machine.cut(THIRD)
    successor.run()
    assert successor.machine.uncommitted(THIRD) == left
    successor.machine.committed(THIRD)
    successor.run()
    assert played.target.visible == ["before 1", "before 2"]


@pytest.mark.parametrize("seed", range(100))
def test_each_row_is_visible_once_whatever_fails_and_wherever_the_process_dies(seed: int) -> None:
    rng = random.Random(seed)
    target, added = Target(), 0
    manifest: list[Prepared] = []
    at_manifest = 0
    played = Played(target=target)
    barrier = NO_BARRIER
    cuts: dict[CheckpointId, int] = {}
    for _ in range(300):
        machine = played.machine
        match rng.choice(["add", "cut", "call", "call", "call", "fail", "manifest", "die"]):
            case "add" if machine.is_ready:
                machine.add([added])
                added += 1
            case "cut" if machine.is_ready:
                barrier = CheckpointId(barrier + 1)
                machine.cut(barrier)
                cuts[barrier] = added
            case "call" if (call := machine.next_call()) is not None:
                machine.done(call, target.answer(call))
            case "fail" if machine.next_call() is not None:
                played.fail(is_done=rng.random() < 0.5)
            case "manifest" if barrier in cuts and machine.is_settled(barrier):
                manifest, at_manifest = machine.uncommitted(barrier), cuts[barrier]
                if rng.random() < 0.8:
                    machine.committed(barrier)
                    cuts.clear()
                    continue
                # The answer is lost, so the worker begins again with this manifest.
                played = Played(PreparedStart(mine=(*manifest,), named=(*manifest,)), target)
                added, cuts = at_manifest, {}
            case "die" if rng.random() < 0.3:
                played = Played(PreparedStart(mine=(*manifest,), named=(*manifest,)), target)
                added, cuts = at_manifest, {}
    played.run()
    barrier = CheckpointId(barrier + 1)
    played.machine.cut(barrier)
    played.run()
    played.machine.committed(barrier)
    played.run()
    assert sorted(target.visible) == [*range(added)]
    assert target.hidden == {}
