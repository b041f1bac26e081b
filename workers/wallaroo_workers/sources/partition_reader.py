"""Readers that call ``read`` of each partition in turn, for sources without a reader."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from typing import Any

from wallaroo.connectors.source_classes import PartitionedSource
from wallaroo.describing import a_type
from wallaroo.errors import ClusterError
from wallaroo.ingest.split_batches import Method
from wallaroo_workers.loop_watch import Watched
from wallaroo_workers.sources.reading import ASKED_AGAIN_S, COLLECT_S, Pairs, is_pair


class PartitionReader:
    """Asks the generators of all partitions in turn, in one thread."""

    def __init__(
        self,
        source: PartitionedSource[Any],
        clock: Callable[[], float] = time.monotonic,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._source = source
        self._clock = clock
        self._wait = wait
        self._generators: dict[str, Iterator[Any]] = {}
        self._due_s: dict[str, float] = {}

    def add(self, partition: str, position: Any) -> None:
        """Read this partition from now on."""
        generator = self._source.read(partition, position)
        if not isinstance(generator, Iterator):
            raise not_a_generator(self._source, generator)
        self._generators[partition] = generator
        self._due_s[partition] = 0.0

    def remove(self, partition: str) -> None:
        """Read this partition no more."""
        generator = self._generators.pop(partition, None)
        close = getattr(generator, "close", None)
        if close is not None:
            close()

    def poll(self, timeout_s: float) -> Iterator[tuple[str, Any]]:
        """Yield what the partitions give that may be asked now; wait if none may."""
        now_s = self._clock()
        due = [name for name in self._generators if self._due_s[name] <= now_s]
        if not due:
            soonest_s = min((self._due_s[name] for name in self._generators), default=now_s)
            self._wait(min(timeout_s, max(0.0, soonest_s - now_s)))
            return
        for name in due:
            generator = self._generators.get(name)
            if generator is not None:
                yield from self._ask(name, generator)

    def _ask(self, name: str, generator: Iterator[Any]) -> Iterator[tuple[str, Any]]:
        """Yield what one partition gives: a batch, or the single records of a short time."""
        pairs: Pairs | None = None
        until_s = 0.0
        while True:
            try:
                item: Any = next(generator, _END)
            except BaseException:
                # Its generator has ended with this, so the others must not ask it again.
                del self._generators[name]
                if pairs is not None:
                    yield name, pairs
                raise
            if not is_pair(item):
                break
            if pairs is None:
                pairs, until_s = Pairs(), self._clock() + COLLECT_S
            pairs.add(item[0], item[1])
            if pairs.is_full or self._clock() >= until_s:
                yield name, pairs
                return
        if pairs is not None:
            yield name, pairs
        if item is _END:
            self._generators.pop(name, None)
            yield name, None
        elif item is None:
            self._due_s[name] = self._clock() + ASKED_AGAIN_S
        else:
            yield name, item

    def close(self) -> None:
        """Close all generators."""
        for partition in [*self._generators]:
            self.remove(partition)


_END = object()


def not_a_generator(source: PartitionedSource[Any], result: object) -> ClusterError:
    """Return the error for a ``read`` that returned something else."""
    if inspect.iscoroutine(result):
        result.close()  # Otherwise Python warns that nobody awaited it.
    return ClusterError(
        f"{Method(source, 'read')} returned {a_type(result)}, not a generator",
        hint="write it with yield: yield wallaroo.Batch(records, position)",
    )


class AsyncPartitionReader:
    """Runs the asynchronous generators of all partitions as tasks."""

    def __init__(self, source: PartitionedSource[Any], watched: Watched) -> None:
        self._source = source
        self.watched = watched
        self._arrived = asyncio.Event()
        self._partitions: dict[str, _AsyncPartition] = {}

    def add(self, partition: str, position: Any) -> None:
        """Read this partition from now on."""
        generator = self._source.read(partition, position)
        if not isinstance(generator, AsyncIterator):
            raise not_a_generator(self._source, generator)
        self._partitions[partition] = _AsyncPartition(generator, self._arrived, self.watched)

    async def remove(self, partition: str) -> None:
        """Read this partition no more."""
        found = self._partitions.pop(partition, None)
        if found is not None:
            await found.close()

    async def poll(self, timeout_s: float) -> Iterable[tuple[str, Any]]:
        """Return what has arrived; wait for it."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._arrived.wait()
        except TimeoutError:
            return []
        if not any(each.has_batch for each in self._partitions.values()):
            # Single records: more of them make a batch that costs less.
            await asyncio.sleep(COLLECT_S)
        self._arrived.clear()
        items: list[tuple[str, Any]] = []
        for name, partition in self._partitions.items():
            items += [(name, item) for item in partition.take()]
        return self._then_raise(items)

    def _then_raise(self, items: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
        """Yield the items; then raise the first error of a partition, which is asked no more."""
        yield from items
        for name, partition in [*self._partitions.items()]:
            if partition.error is not None:
                del self._partitions[name]
                # Another partition may have failed meanwhile.
                self._arrived.set()
                raise partition.error

    async def close(self) -> None:
        """End all tasks."""
        for partition in [*self._partitions]:
            await self.remove(partition)


class _AsyncPartition:
    """One asynchronous generator, and what it gave."""

    def __init__(
        self, generator: AsyncIterator[Any], arrived: asyncio.Event, watched: Watched
    ) -> None:
        self.watched = watched
        self._generator = generator
        self._arrived = arrived
        self._items: list[Any] = []
        self._pairs: Pairs | None = None
        self._has_room = asyncio.Event()
        self.error: BaseException | None = None
        self.has_batch = False
        """Whether something waits that is not worth waiting for more."""
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            async for item in self._generator:
                await self._add(item)
            self._end_pairs()
            self._items.append(None)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001  the author's code
            self._end_pairs()
            self.error = error
        self.has_batch = True
        self._arrived.set()

    async def _add(self, item: Any) -> None:
        if item is None:
            await asyncio.sleep(ASKED_AGAIN_S)
            return
        if is_pair(item):
            self._pairs = self._pairs or Pairs()
            self._pairs.add(item[0], item[1])
            self._arrived.set()
            if not self._pairs.is_full:
                return
        else:
            self._end_pairs()
            self._items.append(item)
        # The generator waits until this is taken, so that at most one batch is here.
        self.has_batch = True
        self._arrived.set()
        self._has_room.clear()
        await self._has_room.wait()

    def _end_pairs(self) -> None:
        if self._pairs is not None:
            self._items.append(self._pairs)
            self._pairs = None

    def take(self) -> list[Any]:
        """Return what is there."""
        self._end_pairs()
        items, self._items = self._items, []
        self.has_batch = False
        self._has_room.set()
        return items

    async def close(self) -> None:
        """End the task and the generator."""
        self._task.cancel()
        await asyncio.wait([self._task])
        close = getattr(self._generator, "aclose", None)
        if close is not None:
            await close()
