"""Both ends of a link under breaks and restarts, against what was sent."""

import random
from collections import deque

import pytest

from wallaroo.errors import ProtocolError
from wallaroo.names import CheckpointId, EdgeId, Epoch
from wallaroo.wire.data_frames import Barrier, BatchFrame, decode_data_frame
from wallaroo.wire.data_link import ACK_BYTES_MAX, ACK_FRAMES_MAX, LinkReceiver, LinkSender

EDGE = EdgeId(3)
SEEDS = range(200)


def decoded(data: bytes) -> BatchFrame | Barrier:
    """Return the one frame in ``data``."""
    assert int.from_bytes(data[:4], "big") == len(data) - 4
    frame = decode_data_frame(data[4:])
    assert isinstance(frame, BatchFrame | Barrier)
    return frame


def number_of(frame: BatchFrame | Barrier) -> int:
    """Return what the test called the frame, whatever its sequence."""
    return int(frame.body) if isinstance(frame, BatchFrame) else frame.checkpoint


class Network:
    """One link, its connections, and all that happens to them, from a seed."""

    def __init__(self, seed: int, *, in_order: bool = True) -> None:
        self.random = random.Random(seed)
        self.in_order = in_order
        """Whether frames are processed in order; some are held back behind barriers."""
        self.sender = LinkSender()
        self.receiver = LinkReceiver(Epoch(1))
        self.is_connected = False
        self.wire: deque[bytes] = deque()
        self.acks: deque[int] = deque()
        self.inbox: deque[tuple[BatchFrame | Barrier, int]] = deque()
        self.sent = 0
        self.acknowledged = 0
        self.sizes: dict[int, int] = {}
        self.processed: list[int] = []
        """Numbers that the present receiver has processed."""
        self.expected_first = 1
        """The number of the first frame that the present receiver is to get."""

    def send(self) -> None:
        self.sent += 1
        before = self.sender.unacknowledged_bytes
        if self.random.random() < 0.3:
            data = self.sender.send_barrier(Epoch(1), CheckpointId(self.sent), EDGE)
        else:
            data = self.sender.send_batch(EDGE, 1, 1, b"%d" % self.sent)
        self.sizes[self.sent] = self.sender.unacknowledged_bytes - before
        assert bool(data) == self.is_connected
        if data:
            assert len(data) == self.sizes[self.sent]
            self.wire.append(data)

    def connect(self) -> None:
        if not self.is_connected:
            self.is_connected = True
            processed = self.receiver.acknowledge()
            self.acknowledged = max(self.acknowledged, self.expected_first - 1 + processed)
            self.wire.extend(self.sender.connected(processed))

    def lose_connection(self) -> None:
        self.is_connected = False
        self.wire.clear()
        self.acks.clear()
        self.sender.disconnected()

    def restart_receiver(self) -> None:
        self.lose_connection()
        self.receiver = LinkReceiver(Epoch(self.receiver.incarnation + 1))
        self.inbox.clear()
        self.processed = []
        self.sender.receiver_restarted()
        self.expected_first = self.acknowledged + 1

    def arrive(self) -> None:
        if self.wire:
            data = self.wire.popleft()
            frame = decoded(data)
            if self.receiver.receive(frame.sequence):
                self.inbox.append((frame, len(data)))

    def process(self) -> None:
        if self.inbox:
            if not self.in_order:
                self.inbox.rotate(self.random.randrange(len(self.inbox)))
            frame, size = self.inbox.popleft()
            self.receiver.processed(frame.sequence, size)
            self.processed.append(number_of(frame))

    def acknowledge(self) -> None:
        if self.is_connected and self.receiver.owes_ack:
            self.acks.append(self.receiver.acknowledge())

    def hear_acknowledgement(self) -> None:
        if self.acks:
            sequence = self.acks.popleft()
            self.sender.acknowledge(sequence)
            self.acknowledged = max(self.acknowledged, self.expected_first - 1 + sequence)

    def check(self) -> None:
        first = self.expected_first
        if self.in_order:
            assert self.processed == [*range(first, first + len(self.processed))]
        assert len({*self.processed}) == len(self.processed)
        # What is acknowledged is forgotten, so all of it must be processed.
        assert {*range(first, self.acknowledged + 1)} <= {*self.processed}
        kept = range(self.acknowledged + 1, self.sent + 1)
        assert self.sender.unacknowledged_bytes == sum(self.sizes[number] for number in kept)

    def run_dry(self) -> None:
        self.connect()
        while self.wire or self.inbox or self.acks or self.receiver.owes_ack:
            self.arrive()
            self.process()
            self.acknowledge()
            self.hear_acknowledgement()
            self.check()


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_breaks_a_living_receiver_gets_each_frame_once(seed: int, in_order: bool) -> None:
    network = Network(seed, in_order=in_order)
    happenings = [network.send, network.arrive, network.arrive, network.process, network.process]
    happenings += [network.connect, network.acknowledge, network.hear_acknowledgement]
    for _ in range(300):
        if network.random.random() < 0.04:
            network.lose_connection()
        network.random.choice(happenings)()
        network.check()
    network.run_dry()
    assert sorted(network.processed) == [*range(1, network.sent + 1)]
    assert network.sender.unacknowledged_bytes == 0


@pytest.mark.parametrize("in_order", [True, False])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_receiver_started_anew_gets_all_that_was_not_acknowledged(
    seed: int, in_order: bool
) -> None:
    network = Network(seed, in_order=in_order)
    happenings = [network.send, network.arrive, network.process, network.acknowledge]
    happenings += [network.hear_acknowledgement, network.connect]
    for _ in range(300):
        chance = network.random.random()
        if chance < 0.03:
            network.restart_receiver()
        elif chance < 0.06:
            network.lose_connection()
        network.random.choice(happenings)()
        network.check()
    network.run_dry()
    assert sorted(network.processed) == [*range(network.expected_first, network.sent + 1)]
    assert network.sender.unacknowledged_bytes == 0


def test_a_restart_numbers_from_one_and_changes_nothing_else() -> None:
    sender = LinkSender()
    sender.send_batch(EDGE, 1, 9, b"first")
    sender.send_batch(EDGE, 2, 7, b"body")
    sender.send_barrier(Epoch(4), CheckpointId(5), EDGE)
    sender.connected(1)
    sender.receiver_restarted()
    assert [decoded(data) for data in sender.connected(0)] == [
        BatchFrame(1, EDGE, 2, 7, b"body"),
        Barrier(2, Epoch(4), CheckpointId(5), EDGE),
    ]
    assert decoded(sender.send_batch(EDGE, 1, 1, b"")).sequence == 3


def test_nothing_is_written_while_there_is_no_connection() -> None:
    sender = LinkSender()
    assert sender.send_batch(EDGE, 1, 1, b"a") == b""
    assert len(sender.connected(0)) == 1
    assert sender.send_batch(EDGE, 1, 1, b"b") != b""
    for end in (sender.disconnected, sender.receiver_restarted):
        end()
        assert sender.send_batch(EDGE, 1, 1, b"c") == b""


def test_an_acknowledgement_of_what_was_never_sent_is_refused() -> None:
    sender = LinkSender()
    sender.send_batch(EDGE, 1, 1, b"a")
    with pytest.raises(ProtocolError, match="acknowledges frame 2, the last sent is 1"):
        sender.acknowledge(2)
    with pytest.raises(ProtocolError, match="acknowledges frame 2"):
        sender.connected(2)
    sender.acknowledge(1)
    sender.receiver_restarted()
    with pytest.raises(ProtocolError, match="the last sent is 0"):
        sender.connected(1)


def test_an_older_acknowledgement_changes_nothing() -> None:
    sender = LinkSender()
    for _ in range(3):
        sender.send_batch(EDGE, 1, 1, b"a")
    sender.acknowledge(2)
    kept = sender.unacknowledged_bytes
    sender.acknowledge(1)
    sender.acknowledge(0)
    assert sender.unacknowledged_bytes == kept > 0


def test_a_missing_frame_is_an_error_and_a_known_one_is_not_new() -> None:
    receiver = LinkReceiver(Epoch(1))
    assert receiver.receive(1)
    assert not receiver.receive(1)
    with pytest.raises(ProtocolError, match="frame 3 follows 1"):
        receiver.receive(3)
    assert receiver.receive(2)


def test_a_frame_that_waits_to_be_processed_is_not_taken_twice() -> None:
    receiver = LinkReceiver(Epoch(1))
    assert receiver.receive(1)
    assert receiver.acknowledge() == 0
    assert not receiver.receive(1)


def test_an_acknowledgement_is_owed_after_one_frame_and_due_after_many() -> None:
    receiver = LinkReceiver(Epoch(1))
    seen = [(receiver.owes_ack, receiver.is_ack_due)]
    for sequence in range(1, ACK_FRAMES_MAX + 1):
        receiver.processed(sequence, 1)
        seen.append((receiver.owes_ack, receiver.is_ack_due))
    assert seen == [(False, False), *[(True, False)] * (ACK_FRAMES_MAX - 1), (True, True)]
    assert receiver.acknowledge() == ACK_FRAMES_MAX
    assert (receiver.owes_ack, receiver.is_ack_due) == (False, False)


def test_an_acknowledgement_is_due_after_many_bytes() -> None:
    receiver = LinkReceiver(Epoch(1))
    receiver.processed(1, ACK_BYTES_MAX - 1)
    seen = [receiver.is_ack_due]
    receiver.processed(2, 1)
    seen.append(receiver.is_ack_due)
    receiver.acknowledge()
    seen.append(receiver.is_ack_due)
    assert seen == [False, True, False]


def test_an_acknowledgement_does_not_pass_a_frame_that_is_held_back() -> None:
    receiver = LinkReceiver(Epoch(1))
    acknowledged = []
    for sequence in (1, 3, 4, 6, 2, 5):
        receiver.processed(sequence, 1)
        acknowledged.append(receiver.acknowledge())
    assert acknowledged == [1, 1, 1, 1, 4, 6]


def test_nothing_is_owed_for_what_is_processed_behind_a_gap() -> None:
    receiver = LinkReceiver(Epoch(1))
    for sequence in range(2, ACK_FRAMES_MAX + 5):
        receiver.processed(sequence, 1)
        assert (receiver.owes_ack, receiver.is_ack_due) == (False, False)
    receiver.processed(1, 1)
    assert (receiver.owes_ack, receiver.is_ack_due) == (True, True)
    assert receiver.acknowledge() == ACK_FRAMES_MAX + 4


def test_a_frame_that_was_processed_behind_a_gap_is_not_taken_again() -> None:
    """The connection breaks while one frame is held back and the next is processed."""
    sender, receiver = LinkSender(), LinkReceiver(Epoch(1))
    sender.send_barrier(Epoch(1), CheckpointId(1), EDGE)
    sender.send_batch(EDGE, 1, 1, b"held back")
    sender.send_batch(EdgeId(4), 1, 1, b"free")
    assert all(receiver.receive(sequence) for sequence in (1, 2, 3))
    receiver.processed(1, 0)
    receiver.processed(3, 4)
    sender.disconnected()
    again = [decoded(data) for data in sender.connected(receiver.acknowledge())]
    assert [frame.sequence for frame in again] == [2, 3]
    assert not any(receiver.receive(frame.sequence) for frame in again)
    receiver.processed(2, 9)
    assert receiver.acknowledge() == 3
