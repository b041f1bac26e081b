"""The queue of a sink against a kernel that loses what the other side has not acknowledged."""

import random

import pytest

from wallaroo.connectors.sink_queue import SinkQueue


class Sink:
    """A sink, the connections to it, and all that happens to them, from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.queue = SinkQueue()
        self.chunks: list[bytes] = []
        self.connections: list[bytearray] = [bytearray()]
        """What arrived over each connection."""
        self.in_kernel = bytearray()
        """Written to the present connection and not acknowledged."""
        self.holds: list[int] = []
        """Numbers of holds that are not released."""
        self.hold_count = 0

    def append(self) -> None:
        chunk = b"<%d%s>" % (len(self.chunks), b"." * self.random.choice((0, 3, 40)))
        self.chunks.append(chunk)
        self.queue.append(chunk)

    def hold(self) -> None:
        if self.random.random() < 0.1:
            self.hold_count += 1
            self.holds.append(self.hold_count)
            self.queue.hold(self.hold_count)

    def release(self) -> None:
        if self.holds:
            number = self.random.choice(self.holds)
            self.holds.remove(number)
            self.queue.release(number)

    def release_all(self) -> None:
        while self.holds:
            self.queue.release(self.holds.pop())

    def take(self) -> None:
        waiting = self.queue.waiting_bytes
        byte_count_max = self.random.choice((0, 1, 10, 60, 1000))
        taken = self.queue.take(byte_count_max)
        assert bool(taken) == bool(waiting)
        assert taken.count(b"<") == taken.count(b">")
        assert taken.count(b"<") <= 1 or len(taken) <= byte_count_max
        self.in_kernel += taken

    def arrive(self) -> None:
        count = self.random.randint(0, len(self.in_kernel))
        self.connections[-1] += self.in_kernel[:count]
        del self.in_kernel[:count]

    def settle(self) -> None:
        self.queue.unsettled(len(self.in_kernel))

    def lose_connection(self) -> None:
        # What the other side acknowledged it has; how much more it read nobody knows.
        if self.random.random() < 0.5:
            self.arrive()
        self.in_kernel.clear()
        self.connections.append(bytearray())
        self.queue.connection_lost()
        assert self.queue.unsent_bytes == self.queue.queued_bytes

    def numbers(self, connection: bytearray) -> list[int]:
        """Return the records that are whole in the bytes of a connection."""
        records = bytes(connection).split(b">")[:-1]
        return [int(record.removeprefix(b"<").rstrip(b".")) for record in records]

    def check(self) -> None:
        """Each connection begins with a whole record, none leaves out what none before it had."""
        queue = self.queue
        assert 0 <= queue.waiting_bytes <= queue.unsent_bytes <= queue.queued_bytes
        assert queue.is_holding == bool(self.holds)
        first_missing = 0
        for connection in self.connections:
            assert not connection or connection.startswith(b"<")
            numbers = self.numbers(connection)
            if numbers:
                assert numbers == [*range(numbers[0], numbers[-1] + 1)]
                assert numbers[0] <= first_missing
                first_missing = max(first_missing, numbers[-1] + 1)


def run(sink: Sink, turns: int = 300) -> None:
    happenings = [sink.append, sink.take, sink.arrive, sink.settle, sink.hold, sink.release]
    for _ in range(turns):
        if sink.random.random() < 0.04:
            sink.lose_connection()
        sink.random.choice(happenings)()
    sink.check()


@pytest.mark.parametrize("seed", range(200))
def test_nothing_is_missing_whatever_breaks(seed: int) -> None:
    sink = Sink(seed)
    run(sink)
    sink.release_all()
    while sink.queue.waiting_bytes:
        sink.take()
    sink.connections[-1] += sink.in_kernel
    sink.in_kernel.clear()
    sink.settle()
    assert sink.queue.queued_bytes == sink.queue.waiting_bytes == 0
    arrived = {number for each in sink.connections for number in sink.numbers(each)}
    assert arrived == {*range(len(sink.chunks))}


@pytest.mark.parametrize("seed", range(100))
def test_byte_counts_are_of_what_comes_out_after_a_break(seed: int) -> None:
    sink = Sink(seed)
    run(sink)
    sink.release_all()
    queued = sink.queue.queued_bytes
    sink.queue.connection_lost()
    assert sink.queue.waiting_bytes == queued
    rest = b"".join(iter(lambda: sink.queue.take(50), b""))
    assert len(rest) == queued
    assert b"".join(sink.chunks).endswith(rest)
    assert sink.queue.waiting_bytes == 0


def test_a_chunk_larger_than_asked_for_comes_alone() -> None:
    queue = SinkQueue()
    for chunk in (b"long chunk", b"a", b"b", b"c"):
        queue.append(chunk)
    assert [queue.take(2) for _ in range(4)] == [b"long chunk", b"ab", b"c", b""]


def test_a_chunk_stays_until_all_of_it_is_acknowledged() -> None:
    queue = SinkQueue()
    queue.append(b"first")
    queue.append(b"second")
    queue.take(100)
    queue.unsettled(7)
    assert queue.queued_bytes == 11
    queue.unsettled(6)
    assert queue.queued_bytes == 6
    queue.unsettled(1)
    queue.connection_lost()
    assert (queue.queued_bytes, queue.waiting_bytes, queue.take(100)) == (6, 6, b"second")


def test_what_was_handed_out_comes_before_what_waits_after_a_break() -> None:
    queue = SinkQueue()
    for chunk in (b"1", b"2", b"3", b"4"):
        queue.append(chunk)
    queue.take(2)
    queue.take(1)
    queue.connection_lost()
    queue.append(b"5")
    assert queue.take(100) == b"12345"


def test_a_kernel_that_counts_more_than_it_was_given_acknowledges_nothing() -> None:
    queue = SinkQueue()
    queue.append(b"chunk")
    queue.take(100)
    queue.unsettled(9)
    assert queue.queued_bytes == 5


def test_what_is_behind_a_hold_waits_for_its_release() -> None:
    queue = SinkQueue()
    queue.append(b"1")
    queue.hold(7)
    queue.append(b"2")
    assert (queue.take(100), queue.take(100)) == (b"1", b"")
    assert (queue.waiting_bytes, queue.unsent_bytes, queue.queued_bytes) == (0, 1, 2)
    queue.release(8)
    assert queue.take(100) == b""
    queue.release(7)
    queue.append(b"3")
    assert queue.take(100) == b"23"


def test_a_hold_that_is_released_early_waits_for_those_before_it() -> None:
    queue = SinkQueue()
    queue.hold(1)
    queue.append(b"1")
    queue.hold(2)
    queue.append(b"2")
    queue.release(2)
    assert queue.take(100) == b""
    queue.release(1)
    assert queue.take(100) == b"12"


def test_what_came_before_a_later_hold_does_not_wait_for_it() -> None:
    queue = SinkQueue()
    queue.hold(1)
    queue.append(b"1")
    queue.hold(2)
    queue.append(b"2")
    queue.release(1)
    assert queue.take(100) == b"1"


def test_what_is_written_again_after_a_break_stays_before_what_is_held() -> None:
    queue = SinkQueue()
    queue.append(b"1")
    queue.take(100)
    queue.hold(1)
    queue.append(b"2")
    queue.connection_lost()
    assert queue.take(100) == b"1"
    queue.release(1)
    assert queue.take(100) == b"2"


def test_what_is_held_can_be_dropped_and_what_comes_before_it_stays() -> None:
    queue = SinkQueue()
    queue.append(b"1")
    queue.hold(1)
    queue.append(b"22")
    queue.hold(2)
    queue.append(b"333")
    queue.drop_held()
    assert queue.queued_bytes == queue.waiting_bytes == 1
    queue.append(b"4")
    assert queue.take(100) == b"14"
