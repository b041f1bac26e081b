"""A reader that hangs: its worker is replaced, and the log says where the thread is."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.workers import test_pushed_source
from tests.workers.source_runner import PATIENCE_S, running
from tests.workers.test_connector_sink import reports_at, until
from wallaroo.checkpoint.split_positions import INITIAL
from wallaroo.connectors.source_classes import Batch, Delivery, PartitionedSource
from wallaroo_workers import slow_calls
from wallaroo_workers.loop_watch import STUCK_S, WATCH_EVERY_S
from wallaroo_workers.sources import stuck_watch
from wallaroo_workers.sources.connector_calls import WAITING_LOGGED_EVERY_S, WaitingLog
from wallaroo_workers.sources.reading import Waiting
from wallaroo_workers.sources.stuck_watch import StuckWatch

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
        assert "in read" in line["stack"]
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


class Blocking(test_pushed_source.InThread):
    """Blocks in ``receive`` after one message, until it is released."""

    def __init__(self, broker: test_pushed_source.Broker) -> None:
        super().__init__(broker)
        self.released = threading.Event()

    def receive(self) -> Iterator[Any]:
        yield Delivery(self.broker.take(), tag="a")
        self.broker.note()
        self.released.wait(60)

    def ack(self, tags: Any) -> None:
        self.broker.acknowledged += tags
        self.broker.note()


async def test_a_pushed_source_that_hangs_while_it_should_acknowledge_is_stuck(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stuck_watch, "WATCH_EVERY_S", 0.001)
    monkeypatch.setattr(stuck_watch, "STUCK_S", 0.01)
    broker, stuck = test_pushed_source.Broker("a"), asyncio.Event()
    source = Blocking(broker)
    played = test_pushed_source.Played(source, None, stuck.set)
    with capture_logs() as lines:
        await played.runner.listen("")
        async with asyncio.timeout(PATIENCE_S):
            await stuck.wait()
    line = next(line for line in lines if line["event"] == "source.stuck")
    assert "in receive" in line["stack"]
    assert "receive and ack share a thread" in line["hint"]
    source.released.set()
    await broker.changes.until(lambda: broker.acknowledged == ["a"])
    await played.runner.drain()


async def test_a_pushed_source_may_wait_for_as_long_as_its_queue_is_quiet() -> None:
    broker, stuck = test_pushed_source.Broker("a"), list[str]()
    source = Blocking(broker)
    played = test_pushed_source.Played(source, None, lambda: stuck.append("stuck"))
    await played.runner.listen("")
    calls = played.runner._calls
    watch = StuckWatch(calls, "inbox", lambda: stuck.append("stuck"), lambda: False)
    await broker.changes.until(lambda: calls.busy_since_s is not None)
    assert not any(watch.look() for _ in range(LOOKS * 2))
    assert stuck == []
    source.released.set()
    await played.runner.drain()


async def test_a_method_of_a_source_that_does_not_return_is_logged_with_its_stack(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow(Hanging):
        def start(self, partition: str) -> Any:
            self.released.wait(60)

    monkeypatch.setattr(slow_calls, "REPORTED_EVERY_S", 0.01)
    source = Slow()
    with capture_logs() as lines:
        async with running(source, {"a": INITIAL}) as played:
            await until(lambda: bool(reports_at(lines, "source.waiting", "self.released.wait(60)")))
            source.released.set()
            await played.until_ended("a")
    line = reports_at(lines, "source.waiting", "self.released.wait(60)")[0]
    assert line["method"].startswith("Slow.start (")
    assert "has not returned" in line["error"]


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
