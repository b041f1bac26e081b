"""A source that is written wrongly ends the run, and the error names class, method and remedy."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.workers.source_runner import running
from tests.workers.test_partitioned_source import AsyncReaderOfAll, Numbers, ReaderOfAll
from wallaroo.connectors.source_classes import Batch, PartitionedSource, SourceError


class Wrong(PartitionedSource[Any]):
    """Yields what it is given, of any kind."""

    def __init__(self, given: Any) -> None:
        self.given = given

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        yield self.given


class NoGenerator(PartitionedSource[Any]):
    """Returns a list."""

    def read(self, partition: str, position: Any) -> Any:
        return [1, 2, 3]


class AsyncWrongReader(PartitionedSource[Any]):
    """Returns a reader for the event loop from a method that blocks."""

    def reader(self) -> Any:
        return AsyncReaderOfAll()


class Coroutine(PartitionedSource[Any]):
    """Reads with a coroutine that yields nothing."""

    async def read(self, partition: str, position: Any) -> Any:  # type: ignore[override]
        return None


class Made(PartitionedSource[Any]):
    """Returns this reader."""

    def __init__(self, made: Any) -> None:
        self.made = made

    def reader(self) -> Any:
        return self.made


class AsyncMade(Made):
    """Returns it from a coroutine."""

    async def reader(self) -> Any:
        return self.made


class Polled(ReaderOfAll):
    """Polls this, whatever it was given."""

    def __init__(self, polled: Any) -> None:
        super().__init__()
        self.polled = polled

    def poll(self, timeout_s: float) -> Any:
        return self.polled


class ShortPoll(ReaderOfAll):
    """Takes no time to wait."""

    def poll(self) -> Any:  # type: ignore[override]
        return []


class Several(PartitionedSource[Any]):
    """Yields these batches, whatever the position."""

    def __init__(self, *batches: Batch[Any]) -> None:
        self.batches = batches

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        yield from self.batches


def of_offsets(*offsets: int, log: str | None = None) -> Batch[int]:
    position = None if log is None else [offsets[-1] + 1, log]
    return Batch([*offsets], position, offsets=[*offsets])


async def test_offsets_may_begin_anew_in_another_log() -> None:
    source = Several(of_offsets(7, 8, log="old"), of_offsets(0, 2, log="new"), of_offsets(5))
    async with running(source) as played:
        await played.until_ended("")
    assert played.records == [7, 8, 0, 2, 5]
    assert played.errors == []


class FailsElsewhere(PartitionedSource[Any]):
    """Ends a partition that it does not have."""

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        yield None
        raise SourceError("it is out of range", "reset it", partition="q")


OF_ANOTHER = [("q", Batch([1], position=1))]


async def test_an_error_of_an_unknown_partition_ends_the_run() -> None:
    async with running(FailsElsewhere()) as played:
        assert await played.until_failed() == (
            "the source of pipeline 'numbers' cannot be read: it is out of range (the partition "
            "'q' of this error is unknown); reset it"
        )


class NoPartitions(Numbers):
    """Has none yet."""

    def partitions(self) -> Iterable[str]:
        return []


async def test_a_source_without_partitions_that_asks_once_is_logged() -> None:
    with capture_logs() as lines:
        async with running(NoPartitions()):
            pass
    [line] = [each for each in lines if each["event"] == "source.no_partitions"]
    assert "NoPartitions.partitions (" in line["method"]
    assert "set discovery" in line["hint"]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (Wrong(Batch([1, 2, 3], offsets=[9, 8, 7])), "Wrong.read (|3 offsets go from 9 to 7"),
        (Wrong(Batch([1, 2], offsets=[7, 7])), "Wrong.read (|2 offsets go from 7 to 7"),
        (
            Several(of_offsets(7, 9), of_offsets(10, 11), of_offsets(11, 12)),
            "Several.read (|starts at offset 11, although everything before 12 was read|over",
        ),
        (Coroutine(), "Coroutine.read (|returned a coroutine, not a generator|with yield"),
        (Made(5), "Made.reader (|returned an int, which has no method add()|poll(timeout_s)"),
        (AsyncMade(5), "AsyncMade.reader (|returned an int, which has no method add()"),
        (Made(ShortPoll()), "Made.reader (|whose poll() -> Any does not take|def poll(self, time"),
        (Made(Polled(None)), "Made.reader (|polled a NoneType|the list is empty"),
        (AsyncMade(Polled(None)), "AsyncMade.reader (|polled a NoneType|the list is empty"),
        (Made(Polled(OF_ANOTHER)), "Made.reader (|of partition 'q', which its reader was not"),
        (AsyncMade(Polled(OF_ANOTHER)), "AsyncMade.reader (|of partition 'q'|partitions()"),
        (Wrong(Batch([1], position=object())), "Wrong.read (|msgpack cannot pack|stores them"),
        (Wrong((1, object())), "Wrong.read (|msgpack cannot pack"),
        (Wrong("text"), "Wrong.read (|gave a str for partition ''|read may also yield"),
        (Wrong(Batch([1] * 2001, position=1)), "Wrong.read (|2,001 records|smaller batches"),
        (Wrong(Batch([1], position=1, keys=[])), "Wrong.read (|1 records and 0 keys"),
        (NoGenerator(), "NoGenerator.read (|returned a list, not a generator|with yield"),
        (AsyncWrongReader(), "AsyncWrongReader.reader (|whose poll is a coroutine|async def"),
    ],
)
async def test_wrong_use_ends_the_run_and_names_class_method_and_remedy(
    source: Any, words: str
) -> None:
    async with running(source) as played:
        text = await played.until_failed()
        assert played.errors[0].exit_code == 1
    for each in words.split("|"):
        assert each in text
    assert "test_wrong_sources.py:" in text
