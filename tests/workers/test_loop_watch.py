"""A coroutine of a source or sink that blocks the event loop: the worker ends, with its stack."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from structlog.testing import capture_logs

import wallaroo
from tests.workers import test_connector_sink, test_pushed_source
from tests.workers.source_runner import running
from wallaroo_workers.loop_watch import STUCK_S, WATCH_EVERY_S, LoopWatch

LOOKS = round(STUCK_S / WATCH_EVERY_S)


class Block:
    """Blocks the loop once, until it is released."""

    def __init__(self) -> None:
        self.is_blocked = threading.Event()
        self.released = threading.Event()

    def wait(self) -> None:
        self.is_blocked.set()
        assert self.released.wait(60)


class Pushed(wallaroo.PushedSource[str]):
    def __init__(self, block: Block, method: str) -> None:
        self.block, self.method = block, method
        self.broker = test_pushed_source.Broker()

    async def open(self) -> None:
        if self.method == "open":
            self.block.wait()

    async def receive(self) -> AsyncIterator[Any]:
        yield wallaroo.Delivery("a", tag=1)
        if self.method == "receive":
            self.block.wait()

    async def ack(self, tags: Any) -> None:
        if self.method == "ack":
            self.block.wait()


class Read(wallaroo.PartitionedSource[str]):
    def __init__(self, block: Block) -> None:
        self.block = block

    async def read(self, partition: str, position: Any) -> AsyncIterator[Any]:
        await asyncio.sleep(0)
        self.block.wait()
        yield wallaroo.Batch(["a"], position=1)


class Polled(wallaroo.PartitionedSource[str]):
    """Is its own reader."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.partition = ""

    async def reader(self) -> "Polled":
        return self

    def add(self, partition: str, position: Any) -> None:
        self.partition = partition

    def remove(self, partition: str) -> None: ...

    def close(self) -> None: ...

    async def poll(self, timeout_s: float) -> list[Any]:
        self.block.wait()
        return [(self.partition, None)]


class Written(wallaroo.Sink[str]):
    def __init__(self, block: Block) -> None:
        self.block = block

    async def write(self, records: list[str]) -> None:
        self.block.wait()


async def run_pushed(block: Block, method: str) -> None:
    source = Pushed(block, method)
    async with test_pushed_source.running(source) as played:
        await source.broker.changes.until(lambda: played.ended_count == 1)


async def run_splits(source: Any) -> None:
    async with running(source) as played:
        await played.until_ended("")


async def run_sink(block: Block) -> None:
    async with test_connector_sink.running(Written(block)) as (runner, _):
        runner.write(["a"])
        await runner.flush()


async def run_step(block: Block) -> None:
    """Work of the application that is neither a source's nor a sink's."""
    block.wait()


@contextlib.contextmanager
def blocked(work: Callable[[Block], Awaitable[None]]) -> Iterator[tuple[LoopWatch, list[str]]]:
    """Run ``work`` in a loop of a thread, until it has blocked; go on at the end."""
    block, ends = Block(), list[str]()

    async def main() -> None:
        async with asyncio.timeout(60):
            await work(block)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert block.is_blocked.wait(60)
    assert thread.ident is not None
    try:
        yield LoopWatch(thread.ident, lambda: ends.append("ended")), ends
    finally:
        block.released.set()
        thread.join(60)
    assert not thread.is_alive()


CASES: dict[str, Callable[[Block], Awaitable[None]]] = {
    "Pushed.open": lambda block: run_pushed(block, "open"),
    "Pushed.receive": lambda block: run_pushed(block, "receive"),
    "Pushed.ack": lambda block: run_pushed(block, "ack"),
    "Read.read": lambda block: run_splits(Read(block)),
    "Polled.poll": lambda block: run_splits(Polled(block)),
    "Written.write": run_sink,
}


@pytest.mark.parametrize("method", CASES)
def test_a_coroutine_of_a_connector_that_blocks_the_loop_ends_the_worker(method: str) -> None:
    with blocked(CASES[method]) as (watch, ends), capture_logs() as lines:
        looks = [watch.look() for _ in range(LOOKS + 1)]
    assert looks == [False] * LOOKS + [True]
    assert ends == ["ended"]
    line = next(line for line in lines if line["event"].endswith(".stuck"))
    if method == "Written.write":
        assert (line["event"], line["sink"]) == ("sink.stuck", "totals")
    else:
        name = "inbox" if method.startswith("Pushed") else "numbers"
        assert (line["event"], line["pipeline"]) == ("source.stuck", name)
    assert line["method"] == method
    assert f"in {method.partition('.')[2]}" in line["stack"]
    assert "without async" in line["hint"]


def test_a_step_of_the_application_may_block_for_as_long_as_it_likes() -> None:
    with blocked(run_step) as (watch, ends):
        assert not any(watch.look() for _ in range(LOOKS * 2))
    assert ends == []


def test_a_loop_that_turns_is_not_blocked_however_often_a_method_is_seen_running() -> None:
    with blocked(run_sink) as (watch, ends):
        for _ in range(LOOKS * 2):
            watch.turned()
            assert not watch.look()
        assert not any(watch.look() for _ in range(LOOKS))
    assert ends == []


def test_what_blocked_before_is_not_blamed_on_what_blocks_now() -> None:
    with blocked(run_step) as (watch, ends):
        assert not any(watch.look() for _ in range(LOOKS))
        with blocked(run_sink) as (other, _):
            watch._thread_id = other._thread_id
            assert not any(watch.look() for _ in range(LOOKS))
            assert watch.look()
    assert ends == ["ended"]
