"""A partitioned source on one worker: batches, pairs, pauses, errors, and each record once."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.workers.source_runner import PATIENCE_S, Played, running, stored
from wallaroo.checkpoint.split_positions import INITIAL, NEW, SplitKind, SplitPosition
from wallaroo.connectors.source_classes import Batch, PartitionedSource, SourceError
from wallaroo.ingest.read_budget import HoldReason
from wallaroo_workers.sources import pump, task_pump

LAST = 40


class Numbers(PartitionedSource[str]):
    """Counts in two partitions up to ``LAST``, five records a batch."""

    def partitions(self) -> Iterable[str]:
        return ["a", "b"]

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        n = 0 if position is None else position
        while n < LAST:
            records = [f"{partition}{each}" for each in range(n, n + 5)]
            n += 5
            yield Batch(records, position=n)
            yield None


class AsyncNumbers(Numbers):
    """The same on the event loop."""

    async def read(self, partition: str, position: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        for item in super().read(partition, position):
            yield item


class Pairs(Numbers):
    """The same, one record after the other."""

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        for n in range(0 if position is None else position, LAST):
            yield f"{partition}{n}", n + 1


class AsyncPairs(Numbers):
    """The same on the event loop, one record after the other."""

    async def read(self, partition: str, position: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        for n in range(0 if position is None else position, LAST):
            yield f"{partition}{n}", n + 1


class ReaderOfAll:
    """Reads many partitions: a batch of each with one poll."""

    def __init__(self) -> None:
        self.next: dict[str, int] = {}
        self.is_closed = False

    def add(self, partition: str, position: Any) -> None:
        self.next[partition] = 0 if position is None else position

    def remove(self, partition: str) -> None:
        del self.next[partition]

    def poll(self, timeout_s: float) -> Iterable[tuple[str, Batch[str] | None]]:
        for name, n in [*self.next.items()]:
            if n >= LAST:
                del self.next[name]
                yield name, None
                continue
            self.next[name] = n + 5
            yield name, Batch([f"{name}{each}" for each in range(n, n + 5)], position=n + 5)

    def close(self) -> None:
        self.is_closed = True


class WithReader(Numbers):
    """The same with a reader for all partitions."""

    def reader(self) -> Any:
        return ReaderOfAll()


class AsyncReaderOfAll(ReaderOfAll):
    """The same on the event loop."""

    async def add(self, partition: str, position: Any) -> None:  # type: ignore[override]
        super().add(partition, position)

    async def poll(self, timeout_s: float) -> list[Any]:  # type: ignore[override]
        items = list(super().poll(timeout_s))
        if not items:
            await asyncio.sleep(timeout_s)
        return items


class WithAsyncReader(Numbers):
    """The same with a reader on the event loop."""

    async def reader(self) -> Any:
        return AsyncReaderOfAll()


KINDS = [Numbers, AsyncNumbers, Pairs, AsyncPairs, WithReader, WithAsyncReader]


def wanted(partition: str, start: int = 0) -> list[str]:
    """Return all records of a partition from ``start`` on."""
    return [f"{partition}{n}" for n in range(start, LAST)]


def of(partition: str, records: list[str]) -> list[str]:
    """Return the records of one partition."""
    return [each for each in records if each.startswith(partition)]


def threads() -> list[str]:
    """Return the names of threads of sources."""
    return [each.name for each in threading.enumerate() if each.name.startswith("source ")]


@pytest.mark.parametrize("kind", KINDS)
async def test_each_record_of_each_partition_is_taken_once_and_in_order(kind: Any) -> None:
    async with running(kind()) as played:
        await played.until_ended("a", "b")
        assert of("a", played.records) == wanted("a")
        assert of("b", played.records) == wanted("b")
        assert played.errors == []
        assert played.intake.is_empty
    assert threads() == []


@pytest.mark.parametrize("kind", KINDS)
async def test_a_restart_goes_on_at_exactly_the_record_where_it_was(kind: Any) -> None:
    async with running(kind()) as played:
        await played.until(lambda: len(played.records) > 16)
        played.runner.stop()
        before = [*played.records]
        positions = stored(played.runner.positions())
    async with running(kind(), positions) as played:
        await played.until_ended("a", "b")
    for name in ("a", "b"):
        assert of(name, before + played.records) == wanted(name)


@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_follows_of_a_partition_that_was_removed(kind: Any) -> None:
    async with running(kind()) as played:
        await played.until(lambda: len(of("a", played.records)) > 4)
        position = played.runner.remove("a")
        before = of("a", played.records)
        await played.until_ended("b")
        assert of("a", played.records) == before
        played.runner.add("a", position)
        await played.until_ended("a")
        assert of("a", played.records) == wanted("a")


@pytest.mark.parametrize("kind", KINDS)
async def test_a_hold_of_the_intake_stops_reading(kind: Any) -> None:
    source = kind()
    played = Played(source)
    played.intake.hold(HoldReason.REPLAY)
    played.runner.start()
    played.runner.add("a", NEW)
    # Its answer comes behind the poll that would have read, if there were one.
    assert await played.runner.discover() == ["a", "b"]
    assert played.records == []
    played.intake.release(HoldReason.REPLAY)
    await played.until_ended("a")
    assert played.records == wanted("a")
    await played.runner.close()


@pytest.fixture
def queued_max(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return how many batches may wait: fewer than these sources have."""
    for module in (pump, task_pump):
        monkeypatch.setattr(module, "QUEUED_BATCHES_MAX", 4)
    return 4


@pytest.mark.parametrize("kind", [Numbers, WithReader, AsyncNumbers])
async def test_a_source_is_not_read_while_the_engine_takes_nothing(
    kind: Any, queued_max: int
) -> None:
    async with running(kind()) as played:
        played.engine.is_held = True
        splits = played.runner._splits
        await played.until(lambda: bool(played.engine._queue))
        await played.runner.discover()
        await played.runner.discover()
        assert splits.queued_count <= queued_max
        played.engine.release()
        await played.until_ended("a", "b")
        assert splits.queued_count == 0


class ReaderOfMuch:
    """Gives more with one poll than the queue has room for."""

    def __init__(self) -> None:
        self.partitions: dict[str, int] = {}

    def add(self, partition: str, position: Any) -> None:
        self.partitions[partition] = 0 if position is None else position

    def remove(self, partition: str) -> None:
        del self.partitions[partition]

    def poll(self, timeout_s: float) -> Iterator[tuple[str, Batch[str] | None]]:
        for partition, n in [*self.partitions.items()]:
            for number in range(n, LAST):
                yield partition, Batch([f"{partition}{number}"], position=number + 1)
            del self.partitions[partition]
            yield partition, None

    def close(self) -> None:
        """It has no connection."""


class Much(Numbers):
    """Is read by a reader of much."""

    def reader(self) -> ReaderOfMuch:
        return ReaderOfMuch()


async def test_a_source_is_asked_while_its_batches_wait_for_the_engine(queued_max: int) -> None:
    assert queued_max < LAST
    async with running(Much()) as played:
        played.engine.is_held = True
        await played.until(lambda: bool(played.engine._queue))
        async with asyncio.timeout(PATIENCE_S):
            assert await played.runner.discover() == ["a", "b"]
        played.engine.release()
        await played.until_ended("a", "b")
    assert of("a", played.records) == wanted("a")
    assert of("b", played.records) == wanted("b")


class Fragile(Numbers):
    """Fails once in the middle of each partition."""

    def __init__(self) -> None:
        self.failed: set[str] = set()
        self.asked: list[tuple[str, Any]] = []

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        self.asked.append((partition, position))
        for item in super().read(partition, position):
            if item is not None and item.position == 20 and partition not in self.failed:
                self.failed.add(partition)
                raise OSError("the connection is lost")
            yield item


async def test_after_an_error_a_new_reader_goes_on_behind_what_was_read() -> None:
    source = Fragile()
    with capture_logs() as lines:
        async with running(source) as played:
            await played.until_ended("a", "b")
    # One line, though it has failed twice: the second time was a moment later.
    [line] = [each for each in lines if each["event"] == "source.waiting"]
    assert line["error"] == "OSError: the connection is lost"
    assert "Fragile.read (" in line["method"]
    assert "test_partitioned_source.py:" in line["at"]
    assert of("a", played.records) == wanted("a")
    assert of("b", played.records) == wanted("b")
    assert played.runner.reconnect_count == 2
    assert ("a", 15) in source.asked


class FailsAlone(Numbers):
    """Ends one partition with an error."""

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        yield Batch([f"{partition}0"], position=1)
        if partition == "a":
            raise SourceError("offset 7 is out of range", "reset it", partition="a")


async def test_an_error_of_one_partition_ends_this_one_alone() -> None:
    async with running(FailsAlone()) as played:
        await played.until_ended("a", "b")
        assert sorted(played.records) == ["a0", "b0"]
        assert played.errors == []
        assert played.runner.ended == {
            "a": "split 'a' of pipeline 'numbers' ended early: offset 7 is out of range; reset it",
            "b": "",
        }
        assert played.runner.positions()["a"].kind is SplitKind.ENDED


class AllFailAlone(FailsAlone):
    """Ends both partitions with an error of their own, on the event loop."""

    async def read(self, partition: str, position: Any) -> AsyncIterator[Any]:  # type: ignore[override]
        yield Batch([f"{partition}0"], position=1)
        raise SourceError("it is out of range", partition=partition)


async def test_errors_of_several_partitions_end_each_of_them() -> None:
    async with running(AllFailAlone()) as played:
        await played.until_ended("a", "b")
        assert sorted(played.records) == ["a0", "b0"]
        assert all("it is out of range" in problem for problem in played.runner.ended.values())


class FailsForGood(Numbers):
    """Ends the run."""

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        yield Batch(["x"], position=1)
        raise SourceError("the topic was deleted", "create it")


async def test_an_error_without_a_partition_ends_the_run() -> None:
    async with running(FailsForGood()) as played:
        text = await played.until_failed()
    assert text == (
        "the source of pipeline 'numbers' cannot be read: the topic was deleted; create it"
    )


class Names(PartitionedSource[Any]):
    """Has these partitions."""

    def __init__(self, names: Any) -> None:
        self.names = names

    def partitions(self) -> Any:
        return self.names


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["a", "b", "a"], "returned two partitions of the name 'a'"),
        (["\u00e9", "a\udcff"], r"the name 'a\udcff', which UTF-8 cannot encode"),
        ("ab", "returned a str, not names of partitions"),
        (None, "returned a NoneType, not names of partitions"),
        ([1], "returned the name 1, not names of partitions"),
    ],
)
async def test_partitions_need_names_of_their_own(names: Any, words: str) -> None:
    played = Played(Names(names))
    played.runner.start()
    discovery = asyncio.create_task(played.runner.discover())
    assert words in await played.until_failed()
    assert not discovery.done()
    discovery.cancel()
    await played.runner.close()


class Starting(Numbers):
    """Begins in the middle, if it is asked a second time."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def start(self, partition: str) -> Any:
        self.asked.append(partition)
        if len(self.asked) == 1:
            raise OSError("not yet")
        return 30

    def partitions(self) -> Iterable[str]:
        assert threading.current_thread().name == "source numbers"
        return {"a": 1, "b": 2}


async def test_a_first_position_is_asked_until_it_is_there_and_a_new_split_has_none() -> None:
    source = Starting()
    async with running(source, {"a": INITIAL, "b": NEW}) as played:
        assert played.runner.positions()["a"] == INITIAL
        await played.runner.resolved()
        assert played.runner.positions()["a"].kind is SplitKind.AT
        assert await played.runner.discover() == ["a", "b"]
        await played.until_ended("a", "b")
        assert of("a", played.records) == wanted("a", 30)
        assert of("b", played.records) == wanted("b")
    assert source.asked == ["a", "a"]


async def test_a_split_that_has_ended_is_not_read_again() -> None:
    ended = SplitPosition(SplitKind.ENDED, "why")
    async with running(Numbers(), {"a": ended, "b": NEW}) as played:
        await played.until_ended("b")
        assert played.runner.ended == {"a": "why", "b": ""}
        assert of("a", played.records) == []


class Committing(Numbers):
    """Notes what is committed, and knows its end."""

    def __init__(self) -> None:
        self.committed_positions: list[dict[str, Any]] = []

    def committed(self, positions: Any) -> None:
        self.committed_positions.append(dict(positions))
        if len(self.committed_positions) == 1:
            raise OSError("not now")

    def end(self, partition: str) -> int:
        return LAST


async def test_only_positions_that_changed_are_told_as_committed() -> None:
    source = Committing()

    def at(a: int, b: int) -> dict[str, SplitPosition]:
        return {
            "a": SplitPosition(SplitKind.AT, [a, 0]),
            "b": SplitPosition(SplitKind.AT, [b, 3]),
        }

    async with running(source) as played:
        for positions in (at(5, 5), at(5, 5), at(5, 10)):
            played.runner.committed(positions)
            while played.runner._notices.waiting:
                # Its answer comes behind that of `committed`.
                await played.runner.discover()
    assert source.committed_positions == [{"a": 5, "b": 5}, {"a": 5, "b": 5}, {"b": 10}]


async def test_the_last_checkpoint_is_told_before_the_reader_is_closed() -> None:
    source = Committing()
    async with running(source, {"a": NEW}) as played:
        played.runner.committed({"a": SplitPosition(SplitKind.AT, [5, 0])})
    assert source.committed_positions == [{"a": 5}]


class Away(Committing):
    """Its target is away until it is told otherwise; meanwhile it says where partitions end."""

    def __init__(self) -> None:
        super().__init__()
        self.is_away = True

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        while True:
            if self.is_away:
                raise OSError("the target is away")
            yield None


async def test_how_far_behind_a_split_is_nobody_knows_while_its_source_is_away() -> None:
    source = Away()
    async with running(source, {"a": SplitPosition(SplitKind.AT, [[30, 1], 0])}) as played:

        async def until(is_held: bool) -> dict[str, Any]:
            while True:
                [facts] = played.runner.facts()
                if bool(facts["held"]) == is_held and (is_held or facts["end"] is not None):
                    return facts
                await played.runner.discover()

        facts = await until(is_held=True)
        assert facts["held"] == "OSError: the target is away"
        assert facts["held_s"] >= 0
        assert (facts["position"], facts["end"], facts["lag"], facts["lag_s"]) == (
            30, None, None, None,
        )  # fmt: skip
        source.is_away = False
        facts = await until(is_held=False)
        assert (facts["held_s"], facts["end"], facts["lag"]) == (None, 40, 10)


async def test_the_facts_of_a_split_say_where_it_is() -> None:
    async with running(Committing(), {"a": SplitPosition(SplitKind.AT, [30, 0])}) as played:
        await played.until_ended("a")
        while played.runner.facts()[0]["end"] is None:
            await played.runner.discover()
        [facts] = played.runner.facts()
        assert facts["split"] == "a"
        assert facts["position"] == 40
        assert facts["end"] == 40
        assert facts["lag"] == 0
        assert facts["ended"]
