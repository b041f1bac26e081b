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

    def append(self) -> None:
        chunk = b"<%d%s>" % (len(self.chunks), b"." * self.random.choice((0, 3, 40)))
        self.chunks.append(chunk)
        self.queue.append(chunk)

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
        assert self.queue.waiting_bytes == self.queue.queued_bytes

    def numbers(self, connection: bytearray) -> list[int]:
        """Return the records that are whole in what came over a connection."""
        records = bytes(connection).split(b">")[:-1]
        return [int(record.removeprefix(b"<").rstrip(b".")) for record in records]

    def check(self) -> None:
        """Each connection begins with a whole record, none leaves out what none before it had."""
        assert 0 <= self.queue.waiting_bytes <= self.queue.queued_bytes
        first_missing = 0
        for connection in self.connections:
            assert not connection or connection.startswith(b"<")
            numbers = self.numbers(connection)
            if numbers:
                assert numbers == [*range(numbers[0], numbers[-1] + 1)]
                assert numbers[0] <= first_missing
                first_missing = max(first_missing, numbers[-1] + 1)


def run(sink: Sink, turns: int = 300) -> None:
    happenings = [sink.append, sink.take, sink.arrive, sink.settle]
    for _ in range(turns):
        if sink.random.random() < 0.04:
            sink.lose_connection()
        sink.random.choice(happenings)()
    sink.check()


@pytest.mark.parametrize("seed", range(200))
def test_nothing_is_missing_whatever_breaks(seed: int) -> None:
    sink = Sink(seed)
    run(sink)
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
