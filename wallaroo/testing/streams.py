"""Streams to receivers that may break, or read slowly."""

from collections.abc import Callable
from random import Random

from wallaroo.connectors.sink_queue import SinkQueue
from wallaroo.testing.faults import Chaos
from wallaroo.testing.loop import Process

BREAK_PROBABILITY = 0.02
SLOW_PROBABILITY = 0.15
DELAY_S = 0.004
SLOW_DELAY_S = 1.0
WRITE_BYTES_MAX = 1 << 6


class Connection:
    """What one connection of a sink has brought."""

    def __init__(self, number: int, arrivals: list[tuple[int, bytes]]) -> None:
        self.content = bytearray()
        self._number = number
        self._arrivals = arrivals

    def arrive(self, data: bytes) -> None:
        """The receiver reads this."""
        self.content += data
        self._arrivals.append((self._number, data))


class Receivers:
    """What the receivers of all stream sinks got, by sink."""

    def __init__(self) -> None:
        self.connections: dict[int, list[Connection]] = {}
        self.arrivals: dict[int, list[tuple[int, bytes]]] = {}
        """Number of a connection and a piece, in the order in which the pieces arrived."""

    def connect(self, sink: int) -> Connection:
        """Return another connection of a sink."""
        connections = self.connections.setdefault(sink, [])
        connection = Connection(len(connections), self.arrivals.setdefault(sink, []))
        connections.append(connection)
        return connection


class StreamSink:
    """Writes to a receiver by the real queue; the receiver hangs up now and then."""

    def __init__(
        self,
        sink: int,
        process: Process,
        receivers: Receivers,
        chaos: Chaos,
        on_progress: Callable[[], None],
    ) -> None:
        self._sink = sink
        self._process = process
        self._random: Random = process.loop.random
        self._receivers = receivers
        self._chaos = chaos
        self.queue = SinkQueue()
        self._received = receivers.connect(sink)
        self._is_busy = False
        self._written_bytes = 0
        self._on_progress = on_progress

    @property
    def backlog_bytes(self) -> int:
        """Bytes that the receiver has not taken."""
        return self.queue.unsent_bytes

    @property
    def settled_bytes(self) -> int:
        """Of all bytes ever written here, those that the receiver has acknowledged."""
        return self._written_bytes - self.queue.queued_bytes

    @property
    def written_bytes(self) -> int:
        """All bytes ever written here."""
        return self._written_bytes

    def write(self, chunk: bytes) -> None:
        """Queue whole records."""
        self._written_bytes += len(chunk)
        self.queue.append(chunk)
        self.write_waiting()

    def settle(self) -> None:
        """What is acknowledged is known at once here."""

    def write_waiting(self) -> None:
        """Write what the queue lets through."""
        if self._is_busy or not self.queue.waiting_bytes:
            return
        self._is_busy = True
        data = self.queue.take(WRITE_BYTES_MAX)
        is_slow = self._chaos.happens("slow_sinks", SLOW_PROBABILITY)
        delay_s = self._random.random() * (SLOW_DELAY_S if is_slow else DELAY_S)
        # On its way; it comes there even if this process has ended.
        received, arrived = self._received, self._random.randint(0, len(data))
        breaks = self._chaos.take("broken_sinks", BREAK_PROBABILITY)
        part = data[:arrived] if breaks else data
        self._process.loop.call_later(delay_s, lambda: received.arrive(part))
        self._process.call_later(delay_s + DELAY_S, self._lost if breaks else self._acknowledged)

    def _acknowledged(self) -> None:
        self._is_busy = False
        self.queue.unsettled(0)
        self.write_waiting()
        self._on_progress()

    def _lost(self) -> None:
        self._is_busy = False
        self.queue.connection_lost()
        self._received = self._receivers.connect(self._sink)
        self.write_waiting()
