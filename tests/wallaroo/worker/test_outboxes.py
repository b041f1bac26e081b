"""The cuts of a manifest are delivered one after the other by all workers."""

from dataclasses import replace
from typing import Any

from tests.wallaroo.worker.outbox_target import W1, Played, Target
from wallaroo.names import CheckpointId, Epoch, SinkId
from wallaroo.worker.outboxes import Outboxes, OutboxStart

H, N = CheckpointId(4), CheckpointId(5)


def start(**changes: Any) -> OutboxStart:
    facts = {"application": "a", "lineage": "l", "worker": W1, "epoch": Epoch(1)}
    return OutboxStart(**{**facts, **changes})


class Two:
    """A worker with two sinks."""

    def __init__(self) -> None:
        self.reported: list[CheckpointId] = []
        self.sinks = [Played(Target(), W1), Played(Target(), W1)]
        by_sink = {SinkId(index): each.outbox for index, each in enumerate(self.sinks)}
        self.outboxes = Outboxes(by_sink, self.reported.append)

    def begun(self) -> "Two":
        self.outboxes.begin(start())
        for each in self.sinks:
            each.answer_all()
        return self

    def save(self, barrier: CheckpointId) -> None:
        for each in self.sinks:
            each.outbox.cut(barrier)
            each.answer_all()


def test_one_cut_is_reported_to_nobody() -> None:
    two = Two().begun()
    two.sinks[0].outbox.add([b"a"])
    two.save(N)
    two.outboxes.committed([N])
    two.sinks[0].answer_all()
    assert two.sinks[0].target.rows == [b"a"]
    assert two.sinks[0].outbox.undelivered_bytes == 0
    assert two.reported == []


def test_a_cut_is_reported_once_all_sinks_have_it_and_the_next_one_waits_for_an_order() -> None:
    two = Two().begun()
    for each in two.sinks:
        each.outbox.add([b"before"])
    two.save(H)
    for each in two.sinks:
        each.outbox.add([b"after"])
    two.save(N)
    two.outboxes.committed([H, N])
    two.sinks[0].answer_all()
    two.outboxes.progressed()
    assert two.reported == []
    two.sinks[1].answer_all()
    two.outboxes.progressed()
    two.outboxes.progressed()
    assert two.reported == [H]
    assert not two.sinks[0].outbox.is_settled()
    assert [each.target.rows for each in two.sinks] == [[b"before"]] * 2
    two.outboxes.deliver_cut(N)
    for each in two.sinks:
        each.answer_all()
    assert [each.target.rows for each in two.sinks] == [[b"before", b"after"]] * 2
    assert two.reported == [H]
    assert two.sinks[0].outbox.is_settled()


def test_a_worker_without_batches_of_the_cut_reports_it_at_once() -> None:
    two = Two().begun()
    two.sinks[0].outbox.add([b"after"])
    two.save(N)
    two.outboxes.committed([H, N])
    assert two.reported == [H]
    assert two.sinks[0].requests == []


def test_of_three_cuts_two_are_reported() -> None:
    two = Two().begun()
    last = CheckpointId(6)
    two.outboxes.committed([H, N, last])
    two.outboxes.deliver_cut(N)
    two.outboxes.deliver_cut(last)
    assert two.reported == [H, N]


def test_a_recovery_delivers_cut_by_cut_too() -> None:
    before = Two().begun()
    before.sinks[1].outbox.add([b"before"])
    before.save(H)
    before.sinks[1].outbox.add([b"after"])
    before.save(N)
    in_doubt = before.sinks[1].outbox.uncommitted()
    found = [replace(each, sink=1) for each in in_doubt]
    after = Two()
    after.sinks[1].target.objects = before.sinks[1].target.objects
    after.outboxes.begin(start(barrier=N, in_doubt=tuple(found), cuts=(H, N)))
    for each in after.sinks:
        each.answer_all()
    after.outboxes.progressed()
    assert after.reported == [H]
    assert not after.sinks[1].outbox.is_ready
    assert after.sinks[1].target.rows == [b"before"]
    after.outboxes.deliver_cut(N)
    after.sinks[1].answer_all()
    assert after.sinks[1].target.rows == [b"before", b"after"]
    assert after.sinks[1].outbox.is_ready
