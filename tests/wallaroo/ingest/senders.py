"""What surrounds the sources of a worker, where a test notes what is asked of it."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, cast

from wallaroo.checkpoint.journal import EntryOrigin
from wallaroo.checkpoint.journaling import Journal
from wallaroo.codec.framing import LengthFramer
from wallaroo.codec.lines import LineFramer
from wallaroo.connectors.tcp import TCPSource
from wallaroo.errors import StoreError
from wallaroo.ingest.connection_handover import ConnectionCopy
from wallaroo.ingest.connection_reader import Reading
from wallaroo.ingest.listening_sources import ListeningSources
from wallaroo.ingest.read_budget import ReadBudget
from wallaroo.runtime.engine import Engine
from wallaroo.topology.plan import Application, Pipeline

PIPELINE = 0
TCP = TCPSource("h", 7010, 1, ">B", bytes)


class NotedReader:
    """A reader that can be paused; with a budget it resumes only if that is not full."""

    def __init__(self, budget: ReadBudget | None = None) -> None:
        self._budget = budget
        self._is_paused = False

    def is_paused(self) -> bool:
        return self._is_paused

    def pause(self) -> None:
        self._is_paused = True

    def resume(self) -> None:
        self._is_paused = self._budget is not None and self._budget.is_full


class NotedEngine:
    """Notes who has records; the test takes them."""

    def __init__(self) -> None:
        self.ready: list[Any] = []
        self.is_timed = False
        self.closed_channels: list[tuple[int, int]] = []

    def source_ready(self, source: Any) -> None:
        self.ready.append(source)

    @property
    def timing(self) -> "NotedEngine":
        return self

    def journals_origins(self, pipeline: int) -> bool:
        return self.is_timed

    def closed(self, pipeline: int, channel: int) -> None:
        self.closed_channels.append((pipeline, channel))


class NotedJournal:
    """A journal in memory that refuses as often as a test asks for."""

    def __init__(self, refusals: int = 0) -> None:
        self.refusals = refusals
        self.entries: list[tuple[int, int, bytes]] = []
        self.taken: list[tuple[int, int]] = []
        self.origins: list[EntryOrigin | None] = []

    def append(
        self, pipeline: int, record_count: int, frames: bytes, origin: EntryOrigin | None = None
    ) -> int:
        if self.refusals:
            self.refusals -= 1
            raise StoreError("the disk is full")
        self.origins.append(origin)
        self.entries.append((pipeline, record_count, frames))
        return len(self.entries) * 100

    def mark_taken(self, offset: int, record_count: int) -> None:
        self.taken.append((offset, record_count))


class SenderConnection(NotedReader):
    """The connection of one sender, and what its reader asks of it."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[str] = []
        self.later: list[Callable[[], None]] = []

    def batch_consumed(self) -> None:
        self.resume()

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> object:
        assert delay_s > 0
        self.later.append(callback)
        return None

    def waits_for_journal(self, error: StoreError) -> None:
        self.refusals.append(error.what)

    def pass_time(self) -> None:
        """Have come what was put off."""
        later, self.later = self.later, []
        for callback in later:
            callback()


class OneSender:
    """A sender's connection with its reader, and all that surrounds the two."""

    def __init__(self, journal: NotedJournal | None = None, *, has_lines: bool = False) -> None:
        self.connection = SenderConnection()
        self.engine = NotedEngine()
        self.intake = ReadBudget()
        framer = LineFramer(100) if has_lines else LengthFramer(1, ">B", 100)
        self.reading = Reading(
            self.connection,
            PIPELINE,
            framer,
            cast(Engine, self.engine),
            self.intake,
            cast(Journal, journal) if journal is not None else None,
        )


class NotedListener:
    """Takes senders for one pipeline, in name only."""

    end = None

    def __init__(self, *copies: ConnectionCopy) -> None:
        self.address = ""
        self.handed_out = [*copies]
        self.taken_over: list[ConnectionCopy] = []
        self.done: list[str] = []
        self.connection_count = len(copies)

    async def listen(self, address: str) -> None:
        self.address = address

    def rewind(self) -> None:
        self.done.append("rewound")

    async def drain(self) -> None:
        self.done.append("drained")

    async def stop_accepting(self) -> None:
        self.done.append("stopped accepting")

    def copies(self) -> Iterable[ConnectionCopy]:
        return self.handed_out

    def detach(self) -> None:
        self.done.append("let go")

    def take_over(self, copy: ConnectionCopy) -> None:
        self.taken_over.append(copy)


class NotedStream:
    """A connection as the system has it, with the copies of it."""

    def __init__(self, copies_max: int = 100) -> None:
        self.copies_max = copies_max
        self.is_closed = False
        self.copies: list[NotedStream] = []

    def dup(self) -> "NotedStream":
        if len(self.copies) >= self.copies_max:
            raise OSError("too many open files")
        self.copies.append(NotedStream())
        return self.copies[-1]

    def close(self) -> None:
        self.is_closed = True

    def fileno(self) -> int:
        return 0


async def all_of(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run these one after the other."""
    for work in works:
        await work


class ListeningParts:
    """What listening sources are made of."""

    def __init__(self, *listeners: NotedListener) -> None:
        self.listeners = dict(enumerate(listeners))
        self.intake = ReadBudget()
        pipelines = tuple(Pipeline(f"p{index}", TCP, (), ()) for index in self.listeners)
        self.plan = Application("app", pipelines, {}, ())

    async def all_of(self, works: Iterable[Coroutine[Any, Any, None]]) -> None:
        await all_of(works)


def new_listening(*listeners: NotedListener) -> tuple[ListeningSources, ReadBudget]:
    parts = ListeningParts(*listeners)
    return ListeningSources(cast(Any, parts)), parts.intake
