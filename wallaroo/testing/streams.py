"""Simulated connections to receivers, which may break or read slowly."""

from collections.abc import Callable
from random import Random
from struct import Struct
from typing import Any

from wallaroo.checkpoint.manifest import SinkShare
from wallaroo.connectors.sink_queue import SinkQueue
from wallaroo.names import CheckpointId
from wallaroo.testing.faults import Chaos
from wallaroo.testing.file_sinks import pause_a_moment
from wallaroo.testing.loop import Process
from wallaroo.worker.sink_port import FinishCut, nothing_to_name

BREAK_PROBABILITY = 0.02
SLOW_PROBABILITY = 0.15
LAGGING_PROBABILITY = 1.0
LAGGING_WRITES = 20
DELAY_S = 0.004
LOOK_S = 0.03
SLOW_DELAY_S = 1.0
LAGGING_DELAY_S = 3.0
WRITE_BYTES_MAX = 1 << 6

_ROW = Struct(">Q")


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
        self.rows: dict[int, list[Any]] = {}
        """By sink that takes any objects: all rows ever written. Their positions travel."""
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
        self.stream = self
        self.outbox = None
        self.preparing = None
        self._queue = SinkQueue()
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
        return self._queue.unsent_bytes

    @property
    def settled_bytes(self) -> int:
        """Number of all bytes that the receiver has acknowledged."""
        return self._written_bytes - self._queue.queued_bytes

    @property
    def written_bytes(self) -> int:
        """Number of all bytes ever written here."""
        return self._written_bytes

    def write(self, rows: list[Any]) -> int:
        """Queue whole records."""
        chunk = self._chunk(rows)
        self._written_bytes += len(chunk)
        self._queue.append(chunk)
        self._write_waiting()
        return len(chunk)

    def _chunk(self, rows: list[Any]) -> bytes:
        return b"".join(rows)

    def settle(self) -> None:
        """Do nothing: acknowledgements are known at once here."""

    async def connected(self) -> None:
        """Wait a moment."""
        await pause_a_moment(self._process)

    def hold(self, number: int) -> None:
        """Hold back what is written from now on, until ``release(number)``."""
        self._queue.hold(number)

    def release(self, number: int) -> None:
        """Write what this hold keeps back, once no earlier hold does."""
        self._queue.release(number)
        self._write_waiting()

    def drop_held(self) -> None:
        """Forget everything that is held back, since a replay produces it again."""
        self._queue.drop_held()

    def cut(self, checkpoint: CheckpointId) -> FinishCut:
        """Wait until the receiver has read everything written so far."""
        mark = self._written_bytes

        async def finish() -> SinkShare:
            await pause_a_moment(self._process)
            while self.settled_bytes < mark:
                await self._process.pause(LOOK_S)
            return SinkShare()

        return finish

    def cut_for_resize(self, checkpoint: CheckpointId) -> FinishCut:
        """Do nothing: holds keep the order."""
        return nothing_to_name

    def committed(self, checkpoint: CheckpointId) -> None:
        """Do nothing: what a checkpoint needed is delivered."""

    async def discard(self) -> None:
        """Discard nothing, since what is written is visible."""
        await pause_a_moment(self._process)

    async def flush(self) -> None:
        """Wait until the receiver has read everything."""
        while self.settled_bytes < self._written_bytes:
            await self._process.pause(LOOK_S)

    def close(self) -> None:
        """Do nothing: the receiver has everything."""

    def _write_waiting(self) -> None:
        """Write what the queue does not hold back."""
        if self._is_busy or not self._queue.waiting_bytes:
            return
        self._is_busy = True
        data = self._queue.take(WRITE_BYTES_MAX)
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
        self._queue.unsettled(0)
        self._write_waiting()
        self._on_progress()

    def _lost(self) -> None:
        self._is_busy = False
        self._queue.connection_lost()
        self._received = self._receivers.connect(self._sink)
        self._write_waiting()


class RowSink(StreamSink):
    """A sink that takes any objects: what travels are positions in the list of all rows."""

    def _chunk(self, rows: list[Any]) -> bytes:
        known = self._receivers.rows.setdefault(self._sink, [])
        first = len(known)
        known += rows
        return b"".join(_ROW.pack(first + index) for index in range(len(rows)))


def rows_received(receivers: Receivers, sink: int) -> list[Any]:
    """Return the rows that arrived whole, in order for each connection."""
    known = receivers.rows.get(sink, [])
    return [
        known[_ROW.unpack_from(connection.content, start)[0]]
        for connection in receivers.connections.get(sink, [])
        for start in range(0, len(connection.content) - _ROW.size + 1, _ROW.size)
    ]
