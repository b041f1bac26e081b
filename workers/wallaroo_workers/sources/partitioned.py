"""Runs the splits of one ``PartitionedSource`` that this worker reads.

    author's object --pump--> messages --> WorkerSplits --take--> engine

The pump reads, in a thread or in a task. Here, on the event loop, its messages become batches of
splits, ends, log lines and ends of the run. Methods that are not about reading (``partitions``,
``start``, ``committed``, ``end``) go through ``ConnectorCalls``.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Mapping
from itertools import islice
from typing import Any

from wallaroo.checkpoint.split_positions import SplitKind, SplitPosition
from wallaroo.connectors.custom import Partitioned
from wallaroo.connectors.source_classes import PartitionedSource, SourceError
from wallaroo.describing import plain, writable
from wallaroo.durations import duration_ns
from wallaroo.errors import WallarooError
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.ingest.split_batches import Method, SplitBatch, offset_of, plain_position
from wallaroo.ingest.split_ports import SplitSourceEvents
from wallaroo.ingest.split_source import Split, WorkerSplits
from wallaroo.runtime.engine import Engine
from wallaroo_workers.logs import get_logger
from wallaroo_workers.sources.author_methods import has_own, is_asynchronous
from wallaroo_workers.sources.author_notices import CommitNotices, discovered, sample_ends
from wallaroo_workers.sources.connector_calls import ConnectorCalls, WaitingLog
from wallaroo_workers.sources.connector_thread import ConnectorThread
from wallaroo_workers.sources.context import SourceContext
from wallaroo_workers.sources.pump import Pump, ThreadPump
from wallaroo_workers.sources.reading import Arrived, Ended, Failed, Message, Resumed, Waiting
from wallaroo_workers.sources.stuck_watch import StuckWatch
from wallaroo_workers.sources.task_pump import TaskPump

log = get_logger()


LAST_TOLD_S = 1.0
"""How long an author may take for the last committed positions before the reader is closed."""


class PartitionedRunner:
    """The splits of one pipeline on this worker, as ``SplitSource``."""

    def __init__(
        self,
        source: PartitionedSource[Any],
        pipeline: int,
        name: str,
        engine: Engine,
        intake: ReadBudget,
        events: SplitSourceEvents,
        on_stuck: Callable[[], None],
        *,
        gives_times: bool = False,
    ) -> None:
        self._source = source
        self._name = name
        self._intake = intake
        self._events = events
        self._splits = WorkerSplits(pipeline, engine, self, gives_times=gives_times)
        self._waits = WaitingLog(name)
        self._waiting: tuple[str, float] | None = None
        """The last error of the reader, and since when nothing could be read."""
        self._has_end = has_own(source, "end")
        self.resumes = has_own(source, "resume")
        thread: ConnectorThread | None = None
        if is_asynchronous(source):
            self._pump: Pump = TaskPump(source, name, self._received)
        else:
            loop = asyncio.get_running_loop()
            pump = self._pump = ThreadPump(source, name, loop, self._received)
            thread = pump.thread
        self._calls = ConnectorCalls(source, name, self._waits, thread)
        self._watch = None if thread is None else StuckWatch(thread, name, on_stuck)
        self._unresolved: dict[str, Split] = {}
        """Splits of which it is not known where this run starts."""
        self._resolved = asyncio.Event()
        self._resolved.set()
        self._notices = CommitNotices(source, self._calls, self._waits)
        self._telling: asyncio.Task[None] | None = None
        """Tells the author which positions are committed."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopped = False
        self.reconnect_count = 0
        """How often the reader was made anew."""

    @property
    def discovery_s(self) -> float | None:
        """Seconds between two discoveries; ``None`` to ask once, whenever sources are opened."""
        every = self._source.discovery
        return None if every is None else duration_ns("discovery", every) / 1e9

    # Orders

    def start(self) -> None:
        """Read the splits that are added."""
        self._intake.add(self)
        self._pump.start()
        if self._watch is not None:
            self._begin(self._watch.run())
        if self._has_end:
            self._begin(sample_ends(self._source, self._calls, self._waits, self._splits.all))

    def add(self, split: str, position: SplitPosition) -> None:
        """Read this split from now on."""
        added = self._splits.add(split, position)
        match position.kind:
            case SplitKind.AT | SplitKind.NEW:
                self._pump.add(split, added.reading, added.base)
            case SplitKind.INITIAL | SplitKind.EARLIER:
                is_resolving = bool(self._unresolved)
                self._unresolved[split] = added
                self._resolved.clear()
                if not is_resolving:
                    self._begin(self._resolve())

    def remove(self, split: str) -> SplitPosition:
        """Read this split no more; return its position."""
        self._pump.remove(split)
        return self._splits.remove(split)

    def positions(self) -> dict[str, SplitPosition]:
        """Return where each split is."""
        return self._splits.positions()

    def stop(self) -> None:
        """Hand out no more records; positions stay as they are."""
        self._is_stopped = True
        self._pump.pause()
        self._splits.stop()

    async def close(self) -> None:
        """Close the reader and wait until it reads no more."""
        self.stop()
        self._intake.remove(self)
        if self._telling is not None:
            # The last checkpoint of a run is one that others look at, such as monitors of lag.
            await asyncio.wait({self._telling}, timeout=LAST_TOLD_S)
        # A reader that hangs is still watched meanwhile.
        await self._pump.close()
        for task in self._tasks:
            task.cancel()
        await self._calls.close()

    @property
    def ended(self) -> dict[str, str]:
        """The splits that have ended: why each broke off, empty if it did not."""
        return {
            name: split.problem
            for name, split in self._splits.all.items()
            if split.kind is SplitKind.ENDED
        }

    # As a reader of the budget

    def pause(self) -> None:
        """Read no more for now."""
        self._pump.pause()

    def resume(self) -> None:
        """Read on."""
        if not self._is_stopped:
            self._pump.resume()

    # What the pump says

    def _received(self, message: Message) -> None:
        match message:
            case Arrived():
                self._arrived(message)
            case Ended():
                self._end(message.split, message.reading, message.problem)
            case Waiting():
                self.reconnect_count += 1
                since_s = time.time() if self._waiting is None else self._waiting[1]
                self._waiting = message.error, since_s
                self._waits.add(message, "the source is read on with a new reader")
            case Resumed():
                self._waiting = None
            case Failed():
                self._fail(message.error)

    def _arrived(self, message: Arrived) -> None:
        if self._is_stopped:
            return
        self._intake.reserve(message.batch.byte_count)
        self._splits.arrived(message.split, message.reading, message.batch)

    def _end(self, split: str, reading: int, problem: str) -> None:
        if self._is_stopped:
            return
        if problem:
            log.error(
                "source.split_failed",
                pipeline=self._name,
                split=split,
                reason=problem,
                next="the other splits are read on",
            )
            problem = writable(f"split {split!r} of pipeline {self._name!r} ended early: {problem}")
        self._splits.ended(split, reading, problem)

    def _fail(self, error: WallarooError) -> None:
        if not self._is_stopped:
            self.stop()
            self._events.source_failed(error)

    # What the splits say

    def batch_left(self, batch: SplitBatch) -> None:
        """A batch is processed or dropped."""
        self._intake.free(batch.byte_count)
        self._pump.batch_left()

    def split_ended(self, split: str) -> None:
        """All records of a split are processed."""
        problem = self._splits.all[split].problem
        self._events.split_ended(self._splits.pipeline, split, problem)

    # What splits there are, and where they begin

    async def discover(self) -> list[str]:
        """Return all splits that the source has now."""
        try:
            names = await discovered(self._source, self._calls)
        except WallarooError as error:
            self._fail(error)
            await asyncio.Event().wait()  # the run ends, and this with it
            raise
        if not names and self._source.discovery is None:
            log.warning(
                "source.no_partitions",
                pipeline=self._name,
                method=str(Method(self._source, "partitions")),
                hint="set discovery, such as wallaroo.seconds(30), to ask for partitions again",
                next="the source ends, since it has nothing to read",
            )
        return names

    async def resolved(self) -> None:
        """Wait until it is known where each split is read from."""
        await self._resolved.wait()

    async def _resolve(self) -> None:
        while self._unresolved:
            name, split = next(iter(self._unresolved.items()))
            try:
                base = await self._asked(split)
            except WallarooError as error:
                self._fail(error)
                return
            except SourceError as error:
                self._end(name, split.reading, error.what)
            else:
                self._started(split, base)
            if self._unresolved.get(name) is split:
                del self._unresolved[name]
        self._resolved.set()

    async def _asked(self, split: Split) -> Any:
        """Return where a split starts, or where this run goes on with it."""
        is_earlier = split.kind is SplitKind.EARLIER
        method, more = ("resume", (split.base,)) if is_earlier else ("start", ())
        base = await self._calls.until_answered(
            method, lambda: self._calls.call(method, split.name, *more)
        )
        return plain_position(base, Method(self._source, method), split.name)

    def _started(self, split: Split, base: Any) -> None:
        if self._splits.all.get(split.name) is not split:
            return
        self._splits.started(split.name, base)
        if split.kind is SplitKind.ENDED:
            self.split_ended(split.name)
        else:
            self._pump.add(split.name, split.reading, split.base)

    def committed(self, positions: Mapping[str, SplitPosition]) -> None:
        """A checkpoint with these positions is committed."""
        if self._notices.committed(positions):
            self._telling = self._begin(self._notices.run())

    # Metrics

    @property
    def split_count(self) -> int:
        """How many splits are read here."""
        return len(self._splits.all)

    @property
    def lag(self) -> int | None:
        """How far all splits together are behind; nobody knows while the source is away."""
        return None if self._waiting is not None else self._splits.lags.total

    def worst_facts(self, count_max: int) -> list[dict[str, Any]]:
        """Return the facts of splits that matter most, then of any others."""
        now_s, splits = time.time(), self._splits
        worst = dict.fromkeys(splits.lags.worst(count_max))
        others = islice(splits.all.values(), count_max)
        chosen = islice(dict.fromkeys([*worst, *others]), count_max)
        return [self._facts(split, now_s) for split in chosen]

    def facts(self) -> list[dict[str, Any]]:
        """Return of each split what ``wallaroo.metrics.report`` says of it."""
        now_s = time.time()
        return [self._facts(split, now_s) for split in self._splits.all.values()]

    def _facts(self, split: Split, now_s: float) -> dict[str, Any]:
        has_ended = split.kind is SplitKind.ENDED
        away = None if has_ended else self._waiting
        held, since_s = away or (split.held, split.held_since_s)
        # A position with an end is an offset; what else is in it helps nobody who looks at it.
        offset = offset_of(split.base) if self._has_end else None
        return {
            "split": writable(split.name),
            "position": plain(split.base) if offset is None else offset,
            "end": None if away else split.end,
            "lag": None if away else split.lag,
            "lag_s": None if away else split.age_s(now_s),
            "caught_up": split.is_caught_up and not held,
            "held": held,
            "held_s": None if since_s is None else max(0.0, now_s - since_s),
            "ended": has_ended,
            "problem": split.problem,
        }

    def _begin(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def new_runner(context: SourceContext) -> PartitionedRunner:
    """Return the runner of the author's source."""
    assert isinstance(context.source, Partitioned)
    source, name = context.source.source, context.pipeline.name
    source.read_by(context.application, name, context.worker)
    return PartitionedRunner(
        source,
        context.index,
        name,
        context.engine,
        context.intake,
        context.events,
        context.on_stuck,
        gives_times=context.pipeline.gives_times,
    )
