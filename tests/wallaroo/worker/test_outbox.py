"""The outbox: nothing before its manifest, nothing twice, nothing missing, all in order."""

from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.wallaroo.worker.outbox_target import NO_LIMIT, SMALL, W1, W2, Played, Target, settled
from wallaroo.checkpoint.manifest import OutboxBatch
from wallaroo.checkpoint.outbox_objects import read_results
from wallaroo.errors import StoreError
from wallaroo.names import CheckpointId
from wallaroo.worker.outbox import Outbox, OutboxLimits


def batch(number: int, cut: int = 1, slot: str = "w1") -> OutboxBatch:
    return OutboxBatch(0, slot, f"{slot}-{number}", number, 1, 10, CheckpointId(cut))


def test_results_are_written_only_once_a_manifest_names_them() -> None:
    played = Played(Target()).begun()
    played.outbox.add([b"a", b"b"])
    [listed] = played.save(1)
    assert (listed.number, listed.slot, listed.record_count, listed.cut) == (1, "w1", 2, 1)
    assert played.target.rows == []
    played.outbox.committed(NO_LIMIT)
    assert played.outbox.in_doubt == [listed]
    played.answer_all()
    assert played.target.rows == [b"a", b"b"]
    assert played.outbox.in_doubt == []


def test_an_interval_without_results_has_no_object_and_no_write() -> None:
    played = Played(Target()).begun()
    played.outbox.cut(CheckpointId(1))
    assert played.requests == []
    assert played.outbox.is_settled()
    assert played.outbox.uncommitted() == []


def test_a_share_waits_until_its_objects_are_durable() -> None:
    played = Played(Target()).begun()
    played.outbox.add([b"a"])
    played.outbox.cut(CheckpointId(1))
    assert not played.outbox.is_settled()
    played.answer()
    assert played.outbox.is_settled()


def test_a_share_waits_until_the_batches_of_the_checkpoint_before_are_delivered() -> None:
    played = Played(Target()).begun()
    played.outbox.add([b"a"])
    played.save(1)
    played.outbox.committed(NO_LIMIT)
    played.outbox.add([b"b"])
    played.outbox.cut(CheckpointId(2))
    assert played.kinds() == ["write", "put"]
    played.answer(1)
    assert not played.outbox.is_settled()
    played.answer()
    assert played.outbox.is_settled()


def test_the_name_of_an_object_has_a_number_above_the_last_barrier() -> None:
    played = Played(Target()).begun(barrier=7)
    played.outbox.add([b"a"])
    [first] = played.save(9)
    played.outbox.add([b"b"])
    [_, second] = played.save(10)
    assert [first.name, second.name] == [
        "parts/0000000008/w1-1-out-0-0",
        "parts/0000000010/w1-1-out-0-1",
    ]


def test_numbers_go_on_from_what_the_target_has() -> None:
    target = Target(numbers={"w1": 41})
    played = Played(target).begun()
    played.outbox.add([b"a"])
    assert [each.number for each in played.save(1)] == [42]


def test_numbers_go_on_from_what_the_manifest_names() -> None:
    """The marker of the target may have expired."""
    target = Target()
    written = Played(target).begun()
    written.outbox.add([b"a"])
    [listed] = written.save(1)
    played = Played(target, epoch=2).begun(listed)
    played.outbox.add([b"b"])
    assert [each.number for each in played.save(2)] == [2]


def test_a_target_without_a_number_is_reported_if_it_had_batches_before() -> None:
    played = Played(Target())
    played.outbox.begin(CheckpointId(1), [batch(5)], NO_LIMIT)
    played.answer()
    assert played.unknown == [batch(5)]
    assert played.kinds() == ["write"]


def test_a_batch_that_may_be_there_is_not_written_if_its_sink_wants_to_stop() -> None:
    played = Played(Target())
    played.writes_unknown = False
    played.outbox.begin(CheckpointId(1), [batch(5)], NO_LIMIT)
    played.answer()
    assert played.unknown == [batch(5)]
    assert played.kinds() == []
    assert not played.outbox.is_ready
    # Nothing that follows makes it go on.
    played.outbox.deliver_cut(CheckpointId(2))
    assert played.kinds() == []


@given(st.lists(st.integers(1, 9), unique=True), st.none() | st.integers(0, 10))
def test_what_is_missing_has_a_higher_number(numbers: list[int], last: int | None) -> None:
    batches = [batch(number) for number in numbers]
    assert [each.number for each in Outbox.missing(batches, last)] == [
        number for number in numbers if number > (last or 0)
    ]


def test_a_recovery_writes_what_the_target_lacks_and_then_opens_its_own_slot() -> None:
    target = Target(numbers={"w1": 1, "w2": 8})
    played = Played(target)
    in_doubt = [batch(2), batch(1), batch(9, slot="w2"), batch(8, slot="w2")]
    for each in in_doubt:
        target.objects[each.name] = b""
    played.outbox.begin(CheckpointId(1), in_doubt, NO_LIMIT)
    asked: list[Any] = []
    while played.requests:
        kind, about, *_ = played.requests[0]
        asked.append((kind, about if kind == "open" else about.number))
        if kind == "write":
            played.requests.pop()
            played.outbox.written()
        else:
            played.answer()
    assert asked == [("open", "w1"), ("write", 2), ("open", "w2"), ("write", 9), ("open", "w1")]
    assert played.outbox.is_ready


def test_it_is_not_ready_before_everything_in_doubt_is_delivered() -> None:
    played = Played(Target())
    played.outbox.begin(CheckpointId(1), [batch(1, cut=1), batch(2, cut=2)], CheckpointId(1))
    played.answer()
    played.requests.clear()
    played.outbox.written()
    assert not played.outbox.is_ready
    assert played.outbox.has_delivered(CheckpointId(1))
    assert played.requests == []
    played.outbox.deliver_cut(NO_LIMIT)
    assert played.kinds() == ["write"]
    played.outbox.written()
    assert played.outbox.is_ready


def test_after_a_failure_the_slot_is_asked_before_anything_is_written_again() -> None:
    played = Played(Target()).begun()
    played.outbox.add([b"a"])
    played.save(1)
    played.outbox.committed(NO_LIMIT)
    played.fail(is_done=True)
    assert played.requests == [("open", "w1", 0.05)]
    played.answer()
    assert played.target.rows == [b"a"]
    assert played.outbox.in_doubt == []


def test_pauses_grow_up_to_a_limit_and_start_anew_after_a_success() -> None:
    played = Played(Target()).begun()
    played.outbox.add([b"a"])
    played.save(1)
    played.outbox.committed(NO_LIMIT)
    pauses = []
    for _ in range(2000):
        played.fail()
        pauses.append(played.requests[0][2])
    assert pauses[:4] == [0.05, 0.1, 0.2, 0.4]
    assert pauses[-1] == 5.0
    played.answer_all()
    played.outbox.add([b"b"])
    played.save(2)
    played.outbox.committed(NO_LIMIT)
    played.fail()
    assert played.requests == [("open", "w1", 0.05)]


def test_batches_of_an_abandoned_checkpoint_join_the_next_cut_and_keep_their_numbers() -> None:
    played = Played(Target()).begun()
    played.outbox.add([b"a"])
    [abandoned] = played.save(1)
    played.outbox.abandon(CheckpointId(1))
    assert played.outbox.uncommitted() == []
    played.outbox.add([b"b"])
    first, second = played.save(2)
    assert (first.name, first.number, first.cut) == (abandoned.name, 1, 2)
    assert (second.number, second.cut) == (2, 2)


def test_a_cut_of_a_resize_stays_when_a_checkpoint_is_abandoned() -> None:
    played = Played(Target()).begun()
    played.outbox.add([b"a"])
    played.save(1)
    played.outbox.add([b"b"])
    played.save(2)
    played.outbox.abandon(CheckpointId(2))
    assert [each.cut for each in played.save(3)] == [1, 3]


def test_a_put_that_fails_behind_the_barrier_fails_the_share() -> None:
    played = Played(Target()).begun()
    played.outbox.add([b"a"])
    played.outbox.cut(CheckpointId(1))
    played.fail()
    assert isinstance(settled(played.outbox), StoreError)
    played.outbox.abandon(CheckpointId(1))
    assert [each.number for each in played.save(2)] == [1]


def test_a_put_that_failed_before_the_barrier_does_not_fail_the_share() -> None:
    played = Played(Target()).begun()
    played.outbox.add([bytes(150), bytes(150)])
    played.fail()
    played.outbox.cut(CheckpointId(1))
    assert settled(played.outbox) is False
    played.answer_all()
    assert [each.number for each in played.outbox.uncommitted()] == [1, 2]
    assert settled(played.outbox) is True


def test_what_could_not_be_stored_is_put_again_without_a_cut() -> None:
    # A drain cuts behind all records, and these wait until there is less that holds them back.
    played = Played(Target()).begun()
    played.outbox.add([bytes(150)] * 4)
    assert played.kinds() == ["put"] * 3
    pauses_s = []
    for _ in range(12):
        played.fail()
        pauses_s.append(played.requests[-1][-1])
        played.requests.insert(0, played.requests.pop())
    assert pauses_s[:3] == [0.05, 0.1, 0.2]
    assert max(pauses_s) == pauses_s[-1] == 5.0
    assert played.outbox.backlog_bytes > 0
    played.answer_all()
    assert played.outbox.backlog_bytes == 0


def test_nothing_is_put_again_after_a_discard() -> None:
    played = Played(Target()).begun()
    played.outbox.add([bytes(150), bytes(150)])
    played.outbox.discard()
    played.fail()
    assert played.requests == []


def test_batches_are_not_larger_than_the_limit_unless_one_result_is() -> None:
    played = Played(Target()).begun()
    results = [bytes(30)] * 40 + [bytes(500)] + [bytes(60)] * 7
    played.outbox.add(results)
    listed = played.save(1)
    sizes = [each.byte_count for each in listed if each.record_count > 1]
    assert sizes
    assert max(sizes) <= SMALL.batch
    assert [each.record_count for each in listed if each.byte_count > SMALL.batch] == [1]
    assert sum(each.record_count for each in listed) == len(results)
    found = [
        row for each in listed for row in read_results(played.target.objects[each.name], each, "")
    ]
    assert found == results


def test_batches_have_no_more_results_than_the_limit() -> None:
    limits = OutboxLimits(results=2000)
    played = Played(Target(), limits=limits).begun()
    played.outbox.add([b"a"] * 4500)
    assert [each.record_count for each in played.save(1)] == [2000, 2000, 500]


def test_results_arrive_with_the_types_that_they_had() -> None:
    results = [b"bytes", "text", 7, (b"key", None), ["list", 1.5], {"a": {1, 2}}, True]
    played = Played(Target(), limits=OutboxLimits()).begun()
    played.outbox.add(results)
    played.save(1)
    played.outbox.committed(NO_LIMIT)
    played.answer_all()
    assert played.target.rows == results
    assert [type(row) for row in played.target.rows] == [type(result) for result in results]


def test_an_object_that_changes_later_is_written_as_it_was_added() -> None:
    played = Played(Target()).begun()
    result = ["first"]
    played.outbox.add([result])
    result.append("second")
    played.save(1)
    played.outbox.committed(NO_LIMIT)
    played.answer_all()
    assert played.target.rows == [["first"]]


def test_a_result_that_cannot_be_pickled_is_refused_and_the_others_are_written() -> None:
    played = Played(Target()).begun()
    played.outbox.add([b"a", lambda: None, b"b"])
    [(_, reason)] = played.refused
    assert reason.startswith("it cannot be pickled: ")
    played.save(1)
    played.outbox.committed(NO_LIMIT)
    played.answer_all()
    assert played.target.rows == [b"a", b"b"]


def test_a_successor_lists_inherited_batches_and_delivers_them_in_their_slot() -> None:
    target = Target()
    leaving, successor = Played(target, W2).begun(), Played(target, W1).begun()
    leaving.outbox.add([b"theirs"])
    successor.outbox.add([b"ours"])
    given = leaving.save(3)
    successor.save(3)
    leaving.outbox.give_away()
    assert leaving.outbox.undelivered_bytes == 0
    successor.outbox.inherit(given)
    successor.outbox.add([b"later"])
    assert [(each.slot, each.cut) for each in successor.save(4)] == [
        ("w2", 3),
        ("w1", 3),
        ("w1", 4),
    ]
    successor.outbox.committed(CheckpointId(3))
    successor.answer_all()
    assert sorted(target.rows) == [b"ours", b"theirs"]
    successor.outbox.deliver_cut(CheckpointId(4))
    successor.answer_all()
    assert target.rows[-1] == b"later"
    assert target.numbers == {"w1": 2, "w2": 1}


def test_after_a_discard_answers_and_requests_end() -> None:
    played = Played(Target()).begun()
    played.outbox.add([b"a"])
    played.save(1)
    played.outbox.committed(NO_LIMIT)
    [(_, written)] = played.requests
    played.outbox.discard()
    played.requests.clear()
    played.outbox.written()
    played.outbox.failed()
    played.outbox.opened("w1", 3)
    played.outbox.stored(written.name, None)
    assert played.requests == []
    assert played.outbox.in_doubt == []


def test_the_batch_that_is_filled_and_one_on_its_way_hold_nobody_back() -> None:
    played = Played(Target()).begun()
    played.outbox.add([bytes(150)])
    assert played.outbox.backlog_bytes == 0
    played.outbox.add([bytes(150)])
    assert played.kinds() == ["put"]
    assert played.outbox.backlog_bytes == 0
    played.outbox.add([bytes(150), bytes(150)])
    assert 300 < played.outbox.backlog_bytes < 600
    played.answer_all()
    assert played.outbox.backlog_bytes == 0


def test_what_is_in_the_store_holds_back_beyond_a_limit_while_the_target_is_behind() -> None:
    played = Played(Target()).begun()
    for _ in range(8):
        played.outbox.add([bytes(170)])
    played.save(1)
    assert played.outbox.undelivered_bytes > SMALL.undelivered
    assert played.outbox.backlog_bytes == 0  # only a checkpoint makes it less
    played.outbox.committed(NO_LIMIT)
    assert 300 < played.outbox.backlog_bytes < 1000
    played.outbox.add([bytes(170)] * 8)
    assert played.outbox.backlog_bytes > 1000
    played.answer_all()
    assert played.outbox.backlog_bytes == 0
    assert played.outbox.delivered_bytes > 8 * 170


def test_few_batches_stay_in_memory_and_the_others_are_read_back() -> None:
    played = Played(Target()).begun()
    for _ in range(8):
        played.outbox.add([bytes(170)])
    played.save(1)
    kept = [each.data is not None for each in played.outbox._uncommitted]
    assert kept == [True] * 2 + [False] * 6
    played.outbox.committed(NO_LIMIT)
    played.answer_all()
    assert played.outbox._kept_bytes == 0


class Run:
    """Random lives of one worker, and what its target must have in the end."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.target = Target()
        self.result_count = 0
        self.committed: list[int] = []
        """Results that are in some manifest."""
        self.manifest: list[OutboxBatch] = []
        self.barrier = 0
        self.epoch = 0
        self.pending: list[int] = []
        """Results made since the last manifest."""
        self.cut_pending = 0
        self.begin()

    def begin(self) -> None:
        self.epoch += 1
        self.result_count = len(self.committed)  # the state went back
        self.pending = []
        self.is_saving = False
        self.played = Played(self.target, epoch=self.epoch)
        self.played.outbox.begin(CheckpointId(self.barrier), self.manifest, NO_LIMIT)

    def step(self) -> None:
        random, outbox = self.random, self.played.outbox
        match random.randrange(6):
            case 0 | 1 if self.played.requests:
                index = random.randrange(len(self.played.requests))
                if random.random() < 0.3:
                    self.played.fail(index, is_done=random.random() < 0.5)
                else:
                    self.played.answer(index)
            case 2 if outbox._has_numbers:
                count = random.choice([1, 3, 30])
                made = [*range(self.result_count, self.result_count + count)]
                self.result_count += count
                self.pending += made
                outbox.add(made)
            case 3 if outbox._has_numbers and not self.is_saving:
                self.barrier += 1
                self.is_saving = True
                self.cut_pending = len(self.pending)
                outbox.cut(CheckpointId(self.barrier))
            case 4 if self.is_saving:
                self.finish()
            case 5 if random.random() < 0.1:
                outbox.discard()
                self.begin()

    def finish(self) -> None:
        outbox = self.played.outbox
        found = settled(outbox)
        if found is True and self.random.random() < 0.8:
            self.manifest = outbox.uncommitted()
            self.committed += self.pending[: self.cut_pending]
            del self.pending[: self.cut_pending]
            if self.random.random() < 0.2:
                self.begin()  # the worker ends between manifest and delivery
                return
            outbox.committed(NO_LIMIT)
            self.is_saving = False
        elif found is not False:
            outbox.abandon(CheckpointId(self.barrier))
            self.is_saving = False

    def check(self) -> None:
        in_doubt = self.played.outbox.in_doubt
        assert {each.name for each in in_doubt} <= {each.name for each in self.manifest}
        delivered = self.target.rows
        assert delivered == self.committed[: len(delivered)]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 40))
def test_whatever_fails_the_target_has_what_manifests_name_once_and_in_order(seed: int) -> None:
    run = Run(Random(seed))
    for _ in range(300):
        run.step()
        run.check()
    run.played.outbox.discard()
    run.begin()
    run.played.answer_all()
    assert run.target.rows == run.committed
