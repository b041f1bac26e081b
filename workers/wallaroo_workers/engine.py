"""Runs records in slices between looks at the sockets; the one place where records are processed.

What a socket read delivers is queued by its source, what a link delivers by the inbox. One turn of
the engine takes slices from both in alternation for a few milliseconds, sends what came out, and
lets the event loop look at the sockets again. There are no timers: with little to do a record runs
in the very turn of the loop in which it came.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from wallaroo.names import SinkId, WorkerName
from wallaroo.operators.batches import Batch, Form
from wallaroo.operators.dataflow import Dataflow
from wallaroo.operators.failures import Failure, StopOnError
from wallaroo.operators.pacing import Pacer
from wallaroo.wire.data_frames import Barrier, BatchFrame
from wallaroo_workers.network.incoming import IncomingLink
from wallaroo_workers.network.outgoing import OutgoingLink

TURN_S = 0.008


class SourceRunner(Protocol):
    """Where the engine takes records from, a slice at a time."""

    @property
    def pipeline(self) -> int:
        """The pipeline these records are for."""
        ...

    @property
    def has_records(self) -> bool:
        """Whether ``take`` would return any."""
        ...

    def take(self, record_count_max: int) -> list[Any]:
        """Return the next records; they are the engine's from now on."""
        ...

    def emptied(self) -> None:
        """Everything is taken and processed: read on."""
        ...


@dataclass(slots=True)
class _Waiting:
    """A frame of the inbox and how far it is processed."""

    link: IncomingLink
    frame: BatchFrame | Barrier
    batch: Batch | None = None
    position: int = 0


class Engine:
    """The record path of one worker."""

    def __init__(self, dataflow: Dataflow) -> None:
        self._dataflow = dataflow
        self._inbox: deque[_Waiting] = deque()
        self._sources: deque[SourceRunner] = deque()
        self._links: dict[WorkerName, OutgoingLink] = {}
        self._pacers: dict[Any, Pacer] = {}
        self._is_scheduled = False
        self._is_stopped = False
        self._inbox_has_turn = True
        self.inbox_bytes = 0
        self.record_count = 0
        """Records taken from sources so far."""
        self.must_pause: Callable[[], bool] = lambda: False
        self.on_output: Callable[[SinkId, bytes], None] = lambda _sink, _chunk: None
        self.on_barrier: Callable[[IncomingLink, Barrier], None] = lambda _link, _barrier: None
        self.on_failures: Callable[[list[Failure]], None] = lambda _: None
        self.on_stop: Callable[[Failure], None] = lambda _: None
        self.on_turn: Callable[[], None] = lambda: None
        """Called after each turn, when everything that came out is handed on."""

    def connect(self, links: dict[WorkerName, OutgoingLink]) -> None:
        """Send batches over these links from now on."""
        self._links = links

    # What comes in

    def frame_arrived(self, link: IncomingLink, frame: BatchFrame | Barrier) -> None:
        """Queue a frame from another worker."""
        self._inbox.append(_Waiting(link, frame))
        if isinstance(frame, BatchFrame):
            self.inbox_bytes += len(frame.body)
        self.schedule()

    def source_ready(self, source: SourceRunner) -> None:
        """Queue a source that has records and is not queued yet."""
        self._sources.append(source)
        self.schedule()

    def schedule(self) -> None:
        """Have a turn at the end of this iteration of the loop, if there is anything to do."""
        if not self._is_scheduled and self._has_work():
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _has_work(self) -> bool:
        if self._is_stopped:
            return False
        return bool(self._inbox) or (bool(self._sources) and not self.must_pause())

    # A turn

    def _turn(self) -> None:
        self._is_scheduled = False
        deadline = time.perf_counter() + TURN_S
        try:
            while self._has_work():
                self._slice()
                if time.perf_counter() >= deadline:
                    break
        except StopOnError as stop:
            self._stop(stop.failure)
            return
        self.flush()
        self.on_turn()
        self.schedule()

    def flush(self) -> None:
        """Hand on everything that came out so far."""
        try:
            # All at once: a turn's records make few large batches, which are cheap.
            for batch in self._dataflow.take_batches():
                self._links[batch.worker].send_batch(batch)
        except StopOnError as stop:
            # A record that cannot be serialised is found here.
            self._stop(stop.failure)
        for sink, chunk in self._dataflow.take_output():
            self.on_output(sink, chunk)
        failures = self._dataflow.take_failures()
        if failures:
            self.on_failures(failures)

    def _stop(self, failure: Failure) -> None:
        # The record that failed still stands first in its queue: no other turn may find it there.
        self._is_stopped = True
        self.on_stop(failure)

    def _slice(self) -> None:
        may_take_source = bool(self._sources) and not self.must_pause()
        if self._inbox and (self._inbox_has_turn or not may_take_source):
            self._inbox_has_turn = False
            self._inbox_slice()
        else:
            self._inbox_has_turn = True
            self._source_slice()

    def _source_slice(self) -> None:
        source = self._sources.popleft()
        pacer = self._pacer(("source", source.pipeline))
        records = source.take(pacer.record_count)
        started = time.perf_counter()
        self._dataflow.run_source(source.pipeline, records)
        pacer.observe(len(records), time.perf_counter() - started)
        self.record_count += len(records)
        if source.has_records:
            self._sources.append(source)
        else:
            source.emptied()

    def _inbox_slice(self) -> None:
        waiting = self._inbox[0]
        frame = waiting.frame
        if isinstance(frame, Barrier):
            self._inbox.popleft()
            waiting.link.processed(frame)
            self.on_barrier(waiting.link, frame)
            return
        if waiting.batch is None:
            waiting.batch = self._dataflow.unpack(frame.edge, Form(frame.form), frame.body)
        batch = waiting.batch
        pacer = self._pacer(("edge", frame.edge))
        count = min(pacer.record_count, len(batch.keys) - waiting.position)
        started = time.perf_counter()
        self._dataflow.run_batch(frame.edge, batch, waiting.position, count)
        pacer.observe(count, time.perf_counter() - started)
        waiting.position += count
        if waiting.position == len(batch.keys):
            self._inbox.popleft()
            self.inbox_bytes -= len(frame.body)
            waiting.link.processed(frame)

    def _pacer(self, key: Any) -> Pacer:
        pacer = self._pacers.get(key)
        if pacer is None:
            pacer = self._pacers[key] = Pacer()
        return pacer
