"""A partitioned source in a run that goes on where an earlier one was."""

import threading
from typing import Any

from tests.workers.source_runner import running
from tests.workers.test_partitioned_source import Numbers, of, wanted
from wallaroo.checkpoint.split_positions import SplitKind, SplitPosition, earlier


class Resumed(Numbers):
    """Goes on with one of two partitions, at first not at once."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    def resume(self, partition: str, position: Any) -> Any:
        assert threading.current_thread().name == "source numbers"
        self.asked.append((partition, position))
        if len(self.asked) == 1:
            raise OSError("not yet")
        return position if partition == "a" else None


async def test_a_partition_that_had_ended_is_read_on_if_its_source_says_so() -> None:
    source, ended = Resumed(), SplitPosition(SplitKind.ENDED, ["", 30])
    before = {"a": earlier(ended), "b": earlier(ended)}
    async with running(source, before) as played:
        assert played.runner.positions() == before
        await played.until_ended("a", "b")
        assert played.records == wanted("a", 30)
        assert played.runner.positions()["b"] == ended
    assert source.asked == [("a", 30), ("a", 30), ("b", 30)]


async def test_a_partition_in_the_middle_is_asked_as_well() -> None:
    source = Resumed()
    at = SplitPosition(SplitKind.AT, [30, 2])
    async with running(source, {"a": earlier(at), "b": earlier(at)}) as played:
        await played.until_ended("a", "b")
        assert of("a", played.records) == wanted("a", 32)
        assert of("b", played.records) == wanted("b", 32)


class ResumedOddly(Numbers):
    """Gives a position that nothing can pack."""

    def resume(self, partition: str, position: Any) -> Any:
        return object()


async def test_a_run_does_not_go_on_from_a_position_that_cannot_be_packed() -> None:
    ended = SplitPosition(SplitKind.ENDED, ["", 30])
    async with running(ResumedOddly(), {"a": earlier(ended)}) as played:
        assert "resume" in await played.until_failed()
