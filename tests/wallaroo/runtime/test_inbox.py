"""What waits to be processed: in order, and what is behind a barrier not before its time."""

import random
from collections.abc import Iterable

import pytest

from wallaroo.names import CheckpointId, EdgeId, Epoch, WorkerName
from wallaroo.runtime.inbox import Inbox
from wallaroo.wire.data_frames import Barrier, BatchFrame, ClockFrame, NumberedFrame

Frame = BatchFrame | Barrier | ClockFrame

E1, E2 = EdgeId(1), EdgeId(2)


class Sender:
    """A link to the inbox; notes which of its frames are processed."""

    incarnation = Epoch(1)

    def __init__(self, inbox: Inbox, name: str) -> None:
        self.inbox = inbox
        self.worker = WorkerName(name)
        self.sequence = 0
        self.done: list[Frame] = []

    def processed(self, frame: NumberedFrame) -> None:
        assert isinstance(frame, BatchFrame | Barrier | ClockFrame)
        self.done.append(frame)

    def send(self, edge: EdgeId, body: bytes = b"body") -> BatchFrame:
        self.sequence += 1
        frame = BatchFrame(self.sequence, edge, 1, 1, body)
        self.inbox.append(self, frame)
        return frame

    def send_clock(self, edge: EdgeId, time: int = 7) -> ClockFrame:
        self.sequence += 1
        frame = ClockFrame(self.sequence, edge, time, 0)
        self.inbox.append(self, frame)
        return frame

    def send_barrier(self, edge: EdgeId, checkpoint: int = 1) -> Barrier:
        self.sequence += 1
        frame = Barrier(self.sequence, Epoch(1), CheckpointId(checkpoint), edge)
        self.inbox.append(self, frame)
        return frame


def processed(inbox: Inbox) -> Iterable[Frame]:
    """Process what may be; a barrier holds back what comes behind it, as on a worker."""
    while (waiting := inbox.first) is not None:
        frame = waiting.frame
        inbox.remove_first()
        if isinstance(frame, Barrier):
            inbox.hold_back(waiting.link.worker, frame.edge, frame.checkpoint)
        yield frame


@pytest.fixture
def inbox() -> Inbox:
    return Inbox()


@pytest.fixture
def a(inbox: Inbox) -> Sender:
    return Sender(inbox, "a")


@pytest.fixture
def b(inbox: Inbox) -> Sender:
    return Sender(inbox, "b")


def test_frames_are_processed_in_the_order_in_which_they_arrived(
    inbox: Inbox, a: Sender, b: Sender
) -> None:
    assert inbox.first is None
    frames = [a.send(E1), b.send(E1), a.send(E2), b.send(E2)]
    assert [*processed(inbox)] == frames
    assert (a.done, b.done) == (frames[::2], frames[1::2])
    assert inbox.first is None


def test_a_look_takes_nothing_and_remembers_how_far_a_frame_is_processed(
    inbox: Inbox, a: Sender
) -> None:
    a.send(E1)
    waiting = inbox.first
    assert waiting is not None
    waiting.position = 1
    assert inbox.first is waiting
    assert a.done == []


def test_what_comes_behind_a_barrier_is_held_back_and_nothing_else(
    inbox: Inbox, a: Sender, b: Sender
) -> None:
    barrier = a.send_barrier(E1)
    held = [a.send(E1), a.send(E1)]
    free = [a.send(E2), b.send(E1), b.send(E2)]
    assert [*processed(inbox)] == [barrier, *free]
    later = b.send(E1)
    assert [*processed(inbox)] == [later]
    inbox.release(CheckpointId(9))
    assert [*processed(inbox)] == held
    assert a.done == [barrier, free[0], *held]


def test_what_was_held_back_comes_before_what_came_since(inbox: Inbox, a: Sender) -> None:
    a.send_barrier(E1)
    held = [a.send(E1), a.send(E1)]
    assert len([*processed(inbox)]) == 1
    since = [a.send(E1), a.send(E2)]
    inbox.release(CheckpointId(9))
    assert [*processed(inbox)] == [*held, *since]


def test_a_barrier_does_not_overtake_what_was_sent_before_it(inbox: Inbox, a: Sender) -> None:
    """The sender has heard that its first checkpoint is abandoned, and this worker has not."""
    first = a.send_barrier(E1, checkpoint=1)
    between = a.send(E1)
    second = a.send_barrier(E1, checkpoint=2)
    behind = a.send(E1)
    assert [*processed(inbox)] == [first]
    inbox.release(CheckpointId(9))
    assert [*processed(inbox)] == [between, second]
    inbox.release(CheckpointId(9))
    assert [*processed(inbox)] == [behind]


def test_a_release_of_nothing_changes_nothing(inbox: Inbox, a: Sender) -> None:
    frames = [a.send(E1), a.send(E2)]
    inbox.release(CheckpointId(9))
    assert [*processed(inbox)] == frames


def test_a_frame_that_is_half_processed_goes_on_behind_what_is_released(
    inbox: Inbox, a: Sender, b: Sender
) -> None:
    a.send_barrier(E1)
    held, half = a.send(E1), b.send(E1)
    inbox.remove_first()
    inbox.hold_back(a.worker, E1, CheckpointId(1))
    waiting = inbox.first
    assert waiting is not None
    waiting.position = 3
    inbox.release(CheckpointId(9))
    assert waiting.frame == half
    first = inbox.first
    assert first is not None
    assert first.frame == held
    inbox.remove_first()
    assert inbox.first is waiting
    assert waiting.position == 3


def test_all_batches_count_those_held_back_included(inbox: Inbox, a: Sender, b: Sender) -> None:
    a.send_barrier(E1)
    assert inbox.byte_count == 0
    a.send(E1, b"12345")
    b.send(E1, b"123")
    assert inbox.byte_count == 8
    assert len([*processed(inbox)]) == 2
    assert inbox.byte_count == 5
    inbox.release(CheckpointId(9))
    assert inbox.byte_count == 5
    assert len([*processed(inbox)]) == 1
    assert inbox.byte_count == 0


class Life:
    """An inbox with three senders, and all that happens to it, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.inbox = Inbox()
        self.senders = [Sender(self.inbox, name) for name in "abc"]
        self.sent: dict[WorkerName, list[Frame]] = {each.worker: [] for each in self.senders}
        self.behind: set[tuple[WorkerName, EdgeId]] = set()

    def send(self) -> None:
        sender, edge = self.random.choice(self.senders), self.random.choice([E1, E2])
        frame: Frame
        if self.random.random() < 0.1:
            frame = sender.send_barrier(edge)
        else:
            frame = sender.send(edge, bytes(self.random.randrange(9)))
        self.sent[sender.worker].append(frame)

    def process(self) -> None:
        waiting = self.inbox.first
        if waiting is None:
            return
        at = (waiting.link.worker, waiting.frame.edge)
        assert at not in self.behind
        self.inbox.remove_first()
        if isinstance(waiting.frame, Barrier):
            self.inbox.hold_back(*at, waiting.frame.checkpoint)
            self.behind.add(at)

    def release(self) -> None:
        self.inbox.release(CheckpointId(9))
        self.behind.clear()

    def check(self) -> None:
        """Each edge of each link keeps its order, and nothing is lost or counted wrong."""
        byte_count = 0
        for sender in self.senders:
            sent = self.sent[sender.worker]
            for edge in (E1, E2):
                done = on(edge, sender.done)
                assert done == on(edge, sent)[: len(done)]
            byte_count += bytes_of(sent) - bytes_of(sender.done)
        assert self.inbox.byte_count == byte_count


def on(edge: EdgeId, frames: list[Frame]) -> list[Frame]:
    return [frame for frame in frames if frame.edge == edge]


def bytes_of(frames: list[Frame]) -> int:
    return sum(len(frame.body) for frame in frames if isinstance(frame, BatchFrame))


@pytest.mark.parametrize("seed", range(100))
def test_whatever_is_held_back_each_edge_of_each_link_keeps_its_order(seed: int) -> None:
    life = Life(seed)
    happenings = [*[life.send] * 5, *[life.process] * 5, life.release]
    for _ in range(150):
        life.random.choice(happenings)()
        life.check()
    while life.inbox.first is not None or life.behind:
        life.process()
        if life.inbox.first is None:
            life.release()
    life.check()
    assert all(len(each.done) == len(life.sent[each.worker]) for each in life.senders)


def test_a_barrier_given_up_late_does_not_let_go_what_is_behind_the_next(
    inbox: Inbox, a: Sender
) -> None:
    a.send_barrier(E1, checkpoint=2)
    behind = a.send(E1)
    assert [type(frame) for frame in processed(inbox)] == [Barrier]
    inbox.release(CheckpointId(1))
    assert inbox.first is None
    inbox.release(CheckpointId(2))
    assert list(processed(inbox)) == [behind]


def test_a_watermark_waits_behind_batches_and_barriers_like_a_batch(inbox: Inbox) -> None:
    first, second = Sender(inbox, "w2"), Sender(inbox, "w3")
    before = [first.send(E1), first.send_clock(E1)]
    barrier = first.send_barrier(E1)
    behind = first.send_clock(E1, 8)
    other = second.send_clock(E1)
    assert [*processed(inbox)] == [*before, barrier, other]
    inbox.release(barrier.checkpoint)
    assert [*processed(inbox)] == [behind]
    assert inbox.byte_count == 0
    inbox.check()
