"""Simulated connections to receivers, which may break or read slowly."""

from collections.abc import Callable
from random import Random

from wallaroo.connectors.sink_queue import SinkQueue
from wallaroo.testing.faults import Chaos
from wallaroo.testing.loop import Process

BREAK_PROBABILITY = 0.02
SLOW_PROBABILITY = 0.15
LAGGING_PROBABILITY = 1.0
LAGGING_WRITES = 20
DELAY_S = 0.004
SLOW_DELAY_S = 1.0
LAGGING_DELAY_S = 3.0
WRITE_BYTES_MAX = 1 << 6


class Connection:
    """The data that arrived over one connection of a sink."""

    def __init__(self, number: int, arrivals: list[tuple[int, bytes]]) -> None:
        self.content = bytearray()
        self._number = number
        self._arrivals = arrivals

    def arrive(self, data: bytes) -> None:
        """Add data that the receiver has read."""
        self.content += data
        self._arrivals.append((self._number, data))


class Receivers:
    """The data that the receivers of all stream sinks have read, by sink."""

    def __init__(self) -> None:
        self.connections: dict[int, list[Connection]] = {}
        self.arrivals: dict[int, list[tuple[int, bytes]]] = {}
        """The number of a connection and a piece of data, in order of arrival."""

    def connect(self, sink: int) -> Connection:
        """Return a new connection of a sink."""
        connections = self.connections.setdefault(sink, [])
        connection = Connection(len(connections), self.arrivals.setdefault(sink, []))
        connections.append(connection)
        return connection


class StreamSink:
    """Writes to a receiver through the real queue; the receiver sometimes closes connections."""

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
        # The first results of one worker may lag far behind those of others.
        is_lagging = chaos.happens("slow_sinks", LAGGING_PROBABILITY)
        self._lagging_writes = LAGGING_WRITES if is_lagging else 0
        self._is_busy = False
        self._written_bytes = 0
        self._on_progress = on_progress

    @property
    def backlog_bytes(self) -> int:
        """Bytes that the receiver has not read."""
        return self.queue.unsent_bytes

    @property
    def settled_bytes(self) -> int:
        """Number of all bytes that the receiver has acknowledged."""
        return self._written_bytes - self.queue.queued_bytes

    @property
    def written_bytes(self) -> int:
        """Number of all bytes ever written here."""
        return self._written_bytes

    def write(self, chunk: bytes) -> None:
        """Queue whole records."""
        self._written_bytes += len(chunk)
        self.queue.append(chunk)
        self.write_waiting()

    def settle(self) -> None:
        """Do nothing: acknowledgements are known at once here."""

    def write_waiting(self) -> None:
        """Write what the queue does not hold back."""
        if self._is_busy or not self.queue.waiting_bytes:
            return
        self._is_busy = True
        data = self.queue.take(WRITE_BYTES_MAX)
        is_slow = self._chaos.happens("slow_sinks", SLOW_PROBABILITY)
        usual_s = LAGGING_DELAY_S if self._lagging_writes > 0 else DELAY_S
        self._lagging_writes -= self._lagging_writes > 0
        delay_s = self._random.random() * (SLOW_DELAY_S if is_slow else usual_s)
        # The data is under way, and arrives even if this process ends.
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
