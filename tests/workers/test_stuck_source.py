"""A reader that hangs: its worker is replaced, and the log says where the thread is."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

from structlog.testing import capture_logs

from tests.workers.source_runner import running
from wallaroo.connectors.source_classes import Batch, PartitionedSource
from wallaroo_workers.sources.connector_calls import WAITING_LOGGED_EVERY_S, WaitingLog
from wallaroo_workers.sources.reading import Waiting
from wallaroo_workers.sources.stuck_watch import STUCK_S, WATCH_EVERY_S

LOOKS = round(STUCK_S / WATCH_EVERY_S)


class Hanging(PartitionedSource[str]):
    """Does not return from ``read`` until it is released."""

    def __init__(self) -> None:
        self.hangs = threading.Event()
        self.released = threading.Event()

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        self.hangs.set()
        self.released.wait(60)
        yield Batch(["x"], position=1)


async def test_a_reader_that_never_returns_is_reported_with_its_stack() -> None:
    source = Hanging()
    async with running(source) as played:
        await asyncio.to_thread(source.hangs.wait, 60)
        watch = played.runner._watch
        assert watch is not None
        with capture_logs() as lines:
            looks = [watch.look() for _ in range(LOOKS + 1)]
        assert looks == [False] * LOOKS + [True]
        assert played.stuck_count == 1
        [line] = lines
        assert line["event"] == "source.stuck"
        assert "self.released.wait(60)" in line["stack"]
        source.released.set()
        await played.until_ended("")
        assert not watch.look()


async def test_a_call_that_returns_is_not_stuck_whatever_comes_after_it() -> None:
    source = Hanging()
    async with running(source) as played:
        await asyncio.to_thread(source.hangs.wait, 60)
        watch = played.runner._watch
        assert watch is not None
        assert not any(watch.look() for _ in range(LOOKS))
        source.released.set()
        await played.until_ended("")
        assert not any(watch.look() for _ in range(LOOKS * 2))
        assert played.stuck_count == 0


def test_a_method_that_is_waited_for_is_logged_every_ten_seconds() -> None:
    times_s = iter((0.0, 0.05, 5.0, WAITING_LOGGED_EVERY_S, 11.0, 11.0))
    waits = WaitingLog("numbers", lambda: next(times_s))
    message = Waiting("Numbers.read", "OSError: gone", "numbers.py:3", 0.05)
    with capture_logs() as lines:
        for _ in range(5):
            waits.add(message)
        waits.add(Waiting("Numbers.start", "OSError: gone", "numbers.py:9", 0.05))
    assert [line["method"] for line in lines] == ["Numbers.read", "Numbers.read", "Numbers.start"]
    assert lines[0]["event"] == "source.waiting"
    assert lines[0]["at"] == "numbers.py:3"
    assert lines[0]["error"] == "OSError: gone"
