"""A pump wakes the event loop only if the engine has no batch of it, or if something is wrong."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

from tests.workers.source_runner import PATIENCE_S
from wallaroo.connectors.source_classes import Batch, PartitionedSource
from wallaroo_workers.sources.pump import ThreadPump
from wallaroo_workers.sources.reading import Arrived, Message, Waiting


class Steps(PartitionedSource[int]):
    """Gives one batch for each permission, and raises when there are no more."""

    def __init__(self, on_asked: Callable[[int], object]) -> None:
        self.permitted = threading.Semaphore(0)
        self.on_asked = on_asked
        """Called with the number of batches that were handed over before."""

    def read(self, partition: str, position: Any) -> Iterator[Any]:
        for n in range(position or 0, 3):
            self.on_asked(n)
            assert self.permitted.acquire(timeout=PATIENCE_S)
            yield Batch([n], position=n + 1)
        raise OSError("the broker is away")


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts how often a thread wakes it for a pump."""

    def __init__(self) -> None:
        super().__init__()
        self.woken: list[Callable[..., object]] = []

    def call_soon_threadsafe(  # type: ignore[override]
        self, callback: Callable[..., object], *arguments: Any, context: Any = None
    ) -> asyncio.Handle:
        self.woken.append(callback)
        return super().call_soon_threadsafe(callback, *arguments, context=context)


def test_batches_wait_for_the_engine_and_errors_do_not() -> None:
    with asyncio.Runner(loop_factory=CountingLoop) as runner:
        runner.run(play())


async def play() -> None:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, CountingLoop)
    delivered: list[Message] = []
    arrived = asyncio.Event()

    def deliver(message: Message) -> None:
        delivered.append(message)
        arrived.set()

    asked: asyncio.Queue[int] = asyncio.Queue()
    source = Steps(lambda n: loop.call_soon_threadsafe(asked.put_nowait, n))
    pump = ThreadPump(source, "steps", loop, deliver)
    pump.add("p", 1, None)
    pump.start()
    source.permitted.release()
    async with asyncio.timeout(PATIENCE_S):
        await arrived.wait()
        # The engine has the first batch while the second is read: nobody is woken for it.
        source.permitted.release()
        while await asked.get() < 2:
            pass
        assert loop.woken.count(pump.fetch) == 1
        assert records_of(delivered) == [[0]]
        pump.batch_left()
        pump.fetch()
        assert records_of(delivered) == [[0], [1]]
        # It has none: the loop is woken.
        pump.batch_left()
        pump.fetch()
        arrived.clear()
        source.permitted.release()
        await arrived.wait()
        assert records_of(delivered) == [[0], [1], [2]]
        # It has one, but an error has to be known at once.
        while not isinstance(delivered[-1], Waiting):
            arrived.clear()
            await arrived.wait()
    await pump.close()


def records_of(messages: list[Message]) -> list[list[Any]]:
    """Return the records of all batches."""
    return [message.batch.records for message in messages if isinstance(message, Arrived)]
