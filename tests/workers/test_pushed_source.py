"""A pushed source on one worker: deliveries, acknowledgements, errors, and the two ways to run."""

import asyncio
import contextlib
import operator
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from tests.workers.source_runner import PATIENCE_S, Changes, NotingEngine
from wallaroo.checkpoint.journal import EntryOrigin
from wallaroo.checkpoint.journaling import Journal
from wallaroo.connectors.pushed_frames import unpack_deliveries
from wallaroo.connectors.source_classes import Delivery, PushedSource, SourceError
from wallaroo.errors import WallarooError
from wallaroo.ingest.read_budget import HoldReason, ReadBudget
from wallaroo.runtime.engine import Engine
from wallaroo.topology.plan import Pipeline
from wallaroo_workers.settings import RunOptions
from wallaroo_workers.sources import pushed
from wallaroo_workers.sources.context import SourceContext
from wallaroo_workers.sources.frame_limits import intake_limits
from wallaroo_workers.sources.pushed import PushedRunner, new_runner
from wallaroo_workers.sources.reading import Backoff


class Broker:
    """Delivers its messages, and again over a new connection what was not acknowledged."""

    def __init__(self, *messages: Any) -> None:
        self.changes = Changes()
        self.messages: deque[Any] = deque(messages)
        self.unacknowledged: list[Any] = []
        self.acknowledged: list[Any] = []
        self.open_errors: list[Exception] = []
        self.ack_errors: list[Exception] = []
        self.has_end = False
        self.asked_count = 0
        self.opened: list[str] = []
        self.closed: list[str] = []
        self.acking: list[str] = []
        self.loop = asyncio.get_running_loop()

    def connect(self) -> None:
        self.opened.append(threading.current_thread().name)
        self.note()
        if self.open_errors:
            raise self.open_errors.pop(0)
        self.messages.extendleft(reversed(self.unacknowledged))
        self.unacknowledged.clear()

    def take(self) -> Any:
        """Return a message, or ``None`` if there is none; raise ``EOFError`` at the end."""
        self.asked_count += 1
        self.note()
        if self.messages:
            message = self.messages.popleft()
            if isinstance(message, Exception):
                raise message
            self.unacknowledged.append(message)
            self.note()
            return message
        if self.has_end:
            raise EOFError
        return None

    def acknowledge(self, tags: Sequence[Any]) -> None:
        self.acking.append(threading.current_thread().name)
        if self.ack_errors:
            raise self.ack_errors.pop(0)
        for tag in tags:
            self.unacknowledged.remove(tag)
            self.acknowledged.append(tag)
        self.note()

    def disconnect(self) -> None:
        self.closed.append(threading.current_thread().name)
        self.note()

    def note(self) -> None:
        self.loop.call_soon_threadsafe(self.changes.note)


class OnLoop(PushedSource[Any]):
    """Receives on the event loop."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    async def open(self) -> None:
        self.broker.connect()

    async def receive(self) -> AsyncIterator[Any]:
        with contextlib.suppress(EOFError):
            while True:
                message = self.broker.take()
                yield None if message is None else Delivery(message, tag=message)

    async def ack(self, tags: Sequence[Any]) -> None:
        self.broker.acknowledge(tags)

    async def close(self) -> None:
        self.broker.disconnect()


class InThread(PushedSource[Any]):
    """Receives in a thread of its own."""

    def __init__(self, broker: Broker) -> None:
        self.broker = broker

    def open(self) -> None:
        self.broker.connect()

    def receive(self) -> Iterator[Any]:
        with contextlib.suppress(EOFError):
            while True:
                message = self.broker.take()
                yield None if message is None else Delivery(message, tag=message)

    def ack(self, tags: Sequence[Any]) -> None:
        self.broker.acknowledge(tags)

    def close(self) -> None:
        self.broker.disconnect()


KINDS = pytest.mark.parametrize("kind", [OnLoop, InThread])


class MemoryJournal:
    """A journal in memory."""

    def __init__(self) -> None:
        self.entries: list[list[Any]] = []

    def append(
        self, pipeline: int, record_count: int, frames: bytes, origin: EntryOrigin | None = None
    ) -> int:
        self.entries.append(unpack_deliveries(frames))
        assert len(self.entries[-1]) == record_count
        return len(self.entries)

    def mark_taken(self, offset: int, record_count: int) -> None: ...

    def sync(self) -> None: ...


class Played:
    """One runner and all that it reports."""

    def __init__(
        self,
        source: PushedSource[Any],
        journal: MemoryJournal | None,
        on_stuck: Callable[[], None] = lambda: None,
    ) -> None:
        self.changes = source.broker.changes  # type: ignore[attr-defined]
        self.engine = NotingEngine(self.changes)
        self.intake = ReadBudget()
        self.errors: list[WallarooError] = []
        self.ended_count = 0
        options = RunOptions(folder=str(Path.cwd()))
        context = SourceContext(
            0,
            Pipeline("inbox", source.source(), (), ()),
            cast(Engine, self.engine),
            options,
            self.intake,
            intake_limits(1_000, 1),
            cast(Journal, journal) if journal is not None else None,
            self,
            None,
            on_stuck,
        )
        self.runner: PushedRunner = new_runner(context)

    @property
    def records(self) -> list[Any]:
        return self.engine.records

    def source_ended(self) -> None:
        self.ended_count += 1
        self.changes.note()

    def split_ended(self, *_: object) -> None:
        pytest.fail("it has no splits")

    def source_failed(self, error: WallarooError) -> None:
        self.errors.append(error)
        self.changes.note()

    async def until_taken(self, *records: Any) -> None:
        await self.changes.until(lambda: self.records == [*records])

    async def until_failed(self) -> str:
        await self.changes.until(lambda: bool(self.errors))
        return f"{self.errors[0].what}; {self.errors[0].hint}"


@contextlib.asynccontextmanager
async def running(
    source: PushedSource[Any], journal: MemoryJournal | None = None
) -> AsyncIterator[Played]:
    played = Played(source, journal)
    await played.runner.listen("")
    try:
        yield played
    finally:
        played.engine.release()
        async with asyncio.timeout(PATIENCE_S):
            await played.runner.drain()


@KINDS
async def test_records_are_processed_in_order_and_acknowledged(kind: Any) -> None:
    broker = Broker(*range(1_000))
    async with running(kind(broker)) as played:
        await played.until_taken(*range(1_000))
        await broker.changes.until(lambda: broker.acknowledged == [*range(1_000)])
    assert broker.unacknowledged == []
    assert len(broker.closed) == 1


@KINDS
async def test_with_a_journal_a_delivery_is_acknowledged_before_it_is_processed(kind: Any) -> None:
    broker, journal = Broker(b"a", b"b", b"c"), MemoryJournal()
    async with running(kind(broker), journal) as played:
        played.engine.is_held = True
        await broker.changes.until(lambda: broker.acknowledged != [])
        assert played.records == []
        assert [record for entry in journal.entries for record in entry] == broker.acknowledged
        played.engine.release()
        played.engine.is_held = False
        await played.until_taken(b"a", b"b", b"c")


@KINDS
async def test_without_a_journal_nothing_is_acknowledged_before_it_is_processed(kind: Any) -> None:
    broker = Broker(1)
    async with running(kind(broker)) as played:
        played.engine.is_held = True
        await broker.changes.until(lambda: bool(broker.unacknowledged))
        await asyncio.sleep(0)
        assert broker.acknowledged == []
        played.engine.is_held = False
        played.engine.release()
        await broker.changes.until(lambda: broker.acknowledged == [1])


async def test_coroutines_run_on_the_loop_and_others_in_one_thread() -> None:
    names: list[set[str]] = []
    for kind in (OnLoop, InThread):
        broker = Broker(1)
        async with running(cast(Any, kind)(broker)):
            await broker.changes.until(partial(operator.eq, broker.acknowledged, [1]))
        names.append({*broker.opened, *broker.acking, *broker.closed})
    assert names == [{threading.current_thread().name}, {"source inbox"}]


@KINDS
async def test_a_source_is_not_asked_while_the_budget_is_full(kind: Any) -> None:
    broker = Broker(1, 2)
    played = Played(kind(broker), None)
    played.intake.hold(HoldReason.REPLAY)
    await played.runner.listen("")
    await broker.changes.until(lambda: bool(broker.opened))
    assert broker.asked_count == 0
    played.intake.release(HoldReason.REPLAY)
    await played.until_taken(1, 2)
    await played.runner.drain()


@KINDS
async def test_a_source_that_cannot_be_opened_is_opened_again(kind: Any) -> None:
    broker = Broker(1)
    broker.open_errors = [OSError("refused"), OSError("refused")]
    async with running(kind(broker)) as played:
        await played.until_taken(1)
    assert len(broker.opened) == 3


@KINDS
async def test_what_is_not_acknowledged_comes_again_after_an_error(kind: Any) -> None:
    broker = Broker(1, 2, OSError("the connection is lost"), 3)
    async with running(kind(broker), MemoryJournal()) as played:
        await broker.changes.until(lambda: {*broker.acknowledged} == {1, 2, 3})
        await broker.changes.until(lambda: {*played.records} == {1, 2, 3})
    assert len(broker.opened) == 2
    assert len(broker.closed) == 2


@KINDS
async def test_an_ack_that_raises_is_called_again_while_records_go_on(kind: Any) -> None:
    broker = Broker(1)
    broker.ack_errors = [OSError("not now"), OSError("not now")]
    async with running(kind(broker)) as played:
        await played.until_taken(1)
        broker.messages.append(2)
        await played.until_taken(1, 2)
        await broker.changes.until(lambda: broker.acknowledged == [1, 2])
    assert played.errors == []
    assert len(broker.opened) == 1


@KINDS
async def test_a_source_that_returns_has_ended(kind: Any) -> None:
    broker = Broker(1, 2)
    broker.has_end = True
    async with running(kind(broker)) as played:
        await broker.changes.until(lambda: played.ended_count == 1)
        assert played.runner.end == ""
        await played.until_taken(1, 2)
    assert broker.acknowledged == [1, 2]


@KINDS
async def test_an_error_that_cannot_get_better_ends_the_run(kind: Any) -> None:
    broker = Broker(SourceError("there is no such queue", "create it"))
    async with running(kind(broker)) as played:
        assert await played.until_failed() == (
            "the source of pipeline 'inbox' cannot be read: there is no such queue; create it"
        )


@KINDS
async def test_what_is_no_delivery_ends_the_run(kind: Any) -> None:
    class Bare(kind):  # type: ignore[misc]
        def receive(self) -> Any:
            yield 5

    async with running(Bare(Broker())) as played:
        told = await played.until_failed()
        assert "Bare.receive" in told
        assert "yielded an int; yield wallaroo.Delivery(record, tag=...)" in told


async def test_a_receive_that_yields_nothing_ends_the_run() -> None:
    class Silent(OnLoop):
        async def receive(self) -> Any:  # type: ignore[override]
            return None

    async with running(Silent(Broker())) as played:
        told = await played.until_failed()
        assert "Silent.receive" in told
        assert "returned a NoneType, not a generator; write it with yield" in told


@KINDS
async def test_a_close_that_raises_is_logged_with_its_line(kind: Any) -> None:
    class Clinging(kind):  # type: ignore[misc]
        def close(self) -> None:
            raise OSError("still in use")

    with capture_logs() as lines:
        async with running(Clinging(Broker(1))) as played:
            await played.until_taken(1)
    [line] = [each for each in lines if each["event"] == "source.waiting"]
    assert "Clinging.close" in line["method"]
    assert line["error"] == "OSError: still in use"
    assert "test_pushed_source.py:" in line["at"]


@KINDS
async def test_a_source_is_closed_once_for_each_time_it_was_opened(kind: Any) -> None:
    broker = Broker(1)
    played = Played(kind(broker), None)
    await played.runner.drain()
    assert broker.closed == []
    async with running(kind(broker)) as played:
        await played.until_taken(1)
        await played.runner.drain()
    assert len(broker.closed) == 1


@pytest.fixture
def delays_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses before connections are opened again, which take no time."""
    noted: list[float] = []

    class NotedBackoff(Backoff):
        def next_s(self) -> float:
            noted.append(super().next_s())
            return 0.0

    monkeypatch.setattr(pushed, "Backoff", NotedBackoff)
    return noted


@KINDS
async def test_a_connection_that_fails_after_each_delivery_is_opened_less_and_less_often(
    kind: Any, delays_s: list[float]
) -> None:
    broker = Broker(*[each for n in range(4) for each in (n, OSError("lost"))])
    async with running(kind(broker)):
        await broker.changes.until(lambda: len(broker.opened) == 5)
    assert delays_s == [0.05, 0.1, 0.2, 0.4]


@KINDS
async def test_a_connection_that_has_lived_is_opened_again_soon(
    kind: Any, delays_s: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pushed, "HEALTHY_S", 0.0)
    broker = Broker(OSError("lost"), OSError("lost"))
    async with running(kind(broker)):
        await broker.changes.until(lambda: len(broker.opened) == 3)
    assert delays_s == [0.05, 0.05]


@KINDS
async def test_a_decoder_gets_bytes(kind: Any) -> None:
    class Decoded(kind):  # type: ignore[misc]
        decoder = bytes.decode

    async with running(Decoded(Broker(bytearray(b"a"), memoryview(b"b")))) as played:
        await played.until_taken(b"a", b"b")
    async with running(Decoded(Broker("text"))) as played:
        assert "a source with a decoder delivers payloads" in await played.until_failed()


@KINDS
async def test_a_record_that_the_journal_cannot_have_ends_the_run(kind: Any) -> None:
    async with running(kind(Broker(threading.Lock())), MemoryJournal()) as played:
        told = await played.until_failed()
        assert "a record of class _thread.lock cannot be written to the journal" in told


@KINDS
async def test_without_a_journal_a_rewind_connects_again(kind: Any) -> None:
    broker = Broker(1, 2, 3)
    async with running(kind(broker)) as played:
        played.engine.is_held = True
        await broker.changes.until(lambda: len(broker.unacknowledged) == 3)
        played.engine.forget()
        played.runner.rewind()
        played.engine.is_held = False
        await played.until_taken(1, 2, 3)
        await broker.changes.until(lambda: broker.acknowledged == [1, 2, 3])
    assert len(broker.opened) == 2


@KINDS
async def test_a_source_that_was_closed_can_be_opened_again(kind: Any) -> None:
    broker = Broker(1)
    async with running(kind(broker)) as played:
        await played.until_taken(1)
        async with asyncio.timeout(PATIENCE_S):
            await played.runner.drain()
        broker.messages.append(2)
        await played.runner.listen("")
        await played.until_taken(1, 2)
    assert len(broker.opened) == 2


@KINDS
async def test_a_worker_that_leaves_disconnects(kind: Any) -> None:
    broker = Broker(1)
    async with running(kind(broker)) as played:
        await played.until_taken(1)
        await played.runner.stop_accepting()
        assert [*played.runner.copies()] == []
        played.runner.detach()
        await broker.changes.until(lambda: bool(broker.closed))


async def test_what_arrives_after_the_end_is_neither_processed_nor_acknowledged() -> None:
    broker, journal = Broker(1), MemoryJournal()
    may_return = threading.Event()

    class Slow(InThread):
        def receive(self) -> Iterator[Any]:
            for delivery in super().receive():
                if delivery is not None and delivery.record == 2:
                    may_return.wait(PATIENCE_S)
                yield delivery

        def close(self) -> None:
            broker.disconnect()

    played = Played(Slow(broker), journal)
    await played.runner.listen("")
    await played.until_taken(1)
    # The thread that acknowledges is the one that `Slow` blocks.
    await broker.changes.until(lambda: broker.acknowledged == [1])
    broker.messages.append(2)
    await broker.changes.until(lambda: broker.unacknowledged == [2])
    draining = asyncio.create_task(played.runner.drain())
    await asyncio.sleep(0)
    may_return.set()
    async with asyncio.timeout(PATIENCE_S):
        await draining
    assert played.records == [1]
    assert journal.entries == [[1]]
    assert broker.unacknowledged == [2]
