"""The channels of a source that are waited for, the slowest one first.

A worker may read 100,000 partitions, and the slowest one is asked for fifty times a second. So the
channels are in a heap by the highest time of their records. That time only rises, and a channel
stops to count by itself when time passes. Both are noticed when a channel is first in the heap:
then it goes to its place, or is left out until it counts again. So each new time of a channel costs
one step in the heap at most, and a time that is not looked at costs none.
"""

import heapq
import itertools

COMPACT_AT_MIN = 64


class Channel:
    """One channel: the highest time of its records, and until when it counts."""

    __slots__ = ("counts_until_ns", "top")

    def __init__(self, top: int) -> None:
        self.top = top
        self.counts_until_ns: int | None = None
        """``None`` if it does not count yet, or never again."""

    def counts(self, now_ns: int) -> bool:
        """Return whether the source waits for it."""
        return self.counts_until_ns is not None and now_ns < self.counts_until_ns

    def rise(self, highest: int) -> None:
        """Note the highest time of some more records."""
        self.top = max(self.top, highest)

    def count_until(self, until_ns: int | None) -> None:
        """Let it count until then; ``None``: not any more."""
        self.counts_until_ns = until_ns


class CountingChannels:
    """The channels that count, and perhaps some that have stopped to."""

    def __init__(self) -> None:
        self._by_top: list[tuple[int, int, Channel]] = []
        """A heap: the highest time when a channel was put there, a number, and the channel."""
        self._in_heap: set[Channel] = set()
        self._numbers = itertools.count()
        self._compact_at = COMPACT_AT_MIN

    def __len__(self) -> int:
        return len(self._by_top)

    def count(self, channel: Channel, until_ns: int) -> None:
        """Let a channel count until then."""
        channel.count_until(until_ns)
        if channel not in self._in_heap:
            self._in_heap.add(channel)
            heapq.heappush(self._by_top, (channel.top, next(self._numbers), channel))

    def count_all(self, until_ns: int) -> None:
        """Let all channels count at least until then."""
        for channel in self._in_heap:
            if channel.counts_until_ns is not None:
                channel.count_until(max(channel.counts_until_ns, until_ns))

    def slowest(self, now_ns: int) -> Channel | None:
        """Return the channel with the lowest time of those that count; ``None`` if none does."""
        if len(self._by_top) > self._compact_at:
            self._compact(now_ns)
        heap = self._by_top
        while heap:
            top, number, channel = heap[0]
            if not channel.counts(now_ns):
                heapq.heappop(heap)
                self._in_heap.remove(channel)
            elif channel.top > top:
                heapq.heapreplace(heap, (channel.top, number, channel))
            else:
                return channel
        return None

    def _compact(self, now_ns: int) -> None:
        """Leave out what does not count: behind a slow channel many may have come and gone."""
        self._by_top = [entry for entry in self._by_top if entry[2].counts(now_ns)]
        heapq.heapify(self._by_top)
        self._in_heap = {channel for _, _, channel in self._by_top}
        self._compact_at = max(2 * len(self._by_top), COMPACT_AT_MIN)
