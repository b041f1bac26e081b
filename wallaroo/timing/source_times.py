"""The watermark of one source on one worker, from the times of the records it has given.

A **channel** is anything with an order of its own: a connection, a file, a generator, a partition.
Its watermark is the highest time in its processed records, minus ``out_of_order``. The source's
watermark is the lowest of the channels that **count**. A channel counts from its first record, or
from when it was first expected, as splits are, until it has been silent for ``idle_after``. One
that is gone counts for ``idle_after``, too, because its sender may reconnect to another worker, and
then never again. A source is idle if no channel counts; then its watermark is that of the channel
that is furthest.

The watermark of a source goes back at a resize alone. So a channel that is silent for longer than
``idle_after`` and then goes on may have late records. The opposite would be worse: one silent
sender would stop all windows forever.

During the replay of journals after a recovery, the watermark is **held** where the checkpoint had
it. Entries of several connections are replayed in any order, and a watermark that followed them
would make records late that were in time before. What is replayed counts as one channel, which is
gone when the replay ends.

A resize moves channels to other workers, and one of them may be far behind. If the worker that has
it now were ahead of it, its records would be late. So every worker **waits for what has moved**: it
goes back to where the giver was. The workers learn it with their new members, and each holds the
clocks of its own, so it does not matter whose watermarks arrive first.
"""

from collections.abc import Hashable, Iterable
from typing import Any, Generic, TypeVar

from wallaroo.timing.channels import Channel, CountingChannels
from wallaroo.timing.clocks import Status, Watermark
from wallaroo.timing.instants import BEFORE_ALL, END, shown_ns
from wallaroo.timing.spec import EventTime, IngestTime, SourceTime, WhenQuiet

CHECKS_PER_IDLE_AFTER = 8
"""So a silent channel is noticed within 1.125 of ``idle_after``."""

ChannelT = TypeVar("ChannelT", bound=Hashable)


class SourceTimes(Generic[ChannelT]):
    """The watermark of one source on one worker.

    Read times and ``now_ns`` are from the same wall clock. ``horizon_ns`` is how long after its end
    a window that the source feeds may still matter; a watermark that moves with the wall clock
    stops that long behind the last record, so that an idle cluster has nothing to do.
    """

    def __init__(
        self, times: SourceTime, *, horizon_ns: int = 0, move_every_ns: int | None = None
    ) -> None:
        """``move_every_ns`` is how often a watermark that moves by itself is to be looked at."""
        self._times = times
        self._horizon_ns = horizon_ns
        self._move_every_ns = move_every_ns
        self._channels: dict[ChannelT, Channel] = {}
        self._counting = CountingChannels()
        """Also of channels that are gone, and of what a checkpoint or a replay had."""
        self._time = BEFORE_ALL
        self._top = BEFORE_ALL
        self._held: Watermark | None = None
        self._settled_ns: int | None = None
        self._last_read_ns: int | None = None
        self._quiet: tuple[int, int] | None = None
        """Since when everything is idle, and the watermark at that time."""
        self._has_ended = False
        self._status = Status.IDLE

    def opened(self, channel: ChannelT) -> None:
        """Note a new channel, which counts from its first record here."""
        self._channels[channel] = Channel(BEFORE_ALL)

    def expect(self, channel: ChannelT, now_ns: int) -> None:
        """Note a channel that is going to be read here, which counts from now on.

        If several partitions have old records, the one that is read first must not make those of
        the others late.
        """
        if isinstance(self._times, EventTime):
            self.opened(channel)
            self._counting.count(self._channels[channel], now_ns + self._times.idle_after_ns)

    def expect_no_longer(self, channel: ChannelT) -> bool:
        """Note that nobody has to wait for the first record of a channel; return whether anybody
        did."""
        expected = self._channels.get(channel)
        if expected is None or expected.top > BEFORE_ALL or expected.counts_until_ns is None:
            return False
        expected.count_until(None)
        return True

    def processed(self, channel: ChannelT, highest: int, read_ns: int) -> None:
        """Note the highest time of records of a channel, read at ``read_ns``, now processed.

        Its first records open a channel that is not open yet.
        """
        if channel not in self._channels:
            self.opened(channel)
        known = self._channels[channel]
        known.rise(highest)
        self._counting.count(known, read_ns + self._times.idle_after_ns)
        self._last_read_ns = read_ns
        self._note_top(highest, read_ns)

    def has_channel(self, channel: ChannelT) -> bool:
        """Return whether a channel is open."""
        return channel in self._channels

    @property
    def time(self) -> int:
        """The last watermark; the end of time if the source has ended."""
        return END if self._status is Status.ENDED else self._time

    @property
    def has_begun(self) -> bool:
        """Whether it has had any record, or its first one is waited for."""
        is_waited_for = self.is_active and isinstance(self._times, EventTime)
        return self._top > BEFORE_ALL or is_waited_for

    @property
    def is_held(self) -> bool:
        """Whether the watermark is held until ``replayed``."""
        return self._held is not None

    @property
    def is_active(self) -> bool:
        """Whether the last watermark was that of a source which is waited for."""
        return self._status is Status.ACTIVE

    def facts(self, now_ns: int) -> dict[str, Any]:
        """Return what is shown of the source.

        ``silent_ns`` is how long the channel that holds the watermark has been silent, or if none
        counts, the whole source; ``waits`` says that the watermark stays where it is meanwhile.
        """
        slowest, last_ns = self._counting.slowest(now_ns), self._last_read_ns
        if slowest is not None:
            assert slowest.counts_until_ns is not None
            last_ns = slowest.counts_until_ns - self._times.idle_after_ns
        return {
            "time_ns": shown_ns(self._time),
            "status": self._status.name.lower(),
            "silent_ns": None if last_ns is None else max(now_ns - last_ns, 0),
            "waits": isinstance(self._times, EventTime) and not self.advances,
        }

    @property
    def advances(self) -> bool:
        """Whether the watermark of event times goes on with the wall clock when all is quiet."""
        times = self._times
        return isinstance(times, EventTime) and times.when_quiet is WhenQuiet.ADVANCE

    @property
    def aligns(self) -> bool:
        """Whether ``may_read`` may refuse."""
        return isinstance(self._times, EventTime) and self._times.align_ns is not None

    def closed(self, channel: ChannelT, now_ns: int) -> None:
        """Note that a channel is gone."""
        gone = self._channels.pop(channel)
        if gone.counts_until_ns is not None:
            self._counting.count(gone, now_ns + self._times.idle_after_ns)

    @property
    def moving_time(self) -> int | None:
        """What channels take along that go on at another worker: the watermark up to which they are
        waited for; ``None`` if nobody waits for them."""
        is_waited_for = self.is_active and self.has_begun
        return self._time if is_waited_for and isinstance(self._times, EventTime) else None

    def wait_for_moved(self, time: int, now_ns: int) -> None:
        """Wait for channels that were at another worker, whose watermark was at ``time``.

        They count for ``idle_after``, whichever worker has them now, and from their first record on
        where they are.
        """
        self._time = min(self._time, time)
        if self._held is not None:
            self._held = Watermark(self._time)
        self._counting.count(
            Channel(time + self._out_of_order_ns), now_ns + self._times.idle_after_ns
        )
        self._top = max(self._top, time)
        self._quiet = None

    def handed_over(self, channel: ChannelT) -> None:
        """Forget a channel, if it is known, that goes on at another worker."""
        moved = self._channels.pop(channel, None)
        if moved is not None:
            moved.count_until(None)

    def end(self) -> None:
        """Note that the source has no more records, ever."""
        self._has_ended = True

    def restore(self, time: int, now_ns: int) -> None:
        """Go on from the watermark of a checkpoint, and hold it until ``replayed``.

        Call it once with the lowest watermark of all lost channels. They count for ``idle_after``
        from ``replayed`` on, so that their senders can come back.
        """
        self._time = self._top = time
        self._held = Watermark(time)
        self._counting.count(
            Channel(time + self._out_of_order_ns), now_ns + self._times.idle_after_ns
        )

    def hold(self) -> None:
        """Hold the watermark where it is until ``replayed``."""
        if self._held is None:
            self._held = Watermark(self._time)

    def replayed(self, tops: Iterable[int], now_ns: int) -> None:
        """Let the watermark move again: all journals are replayed, and ``tops`` has the highest
        time of each of their channels, none of which is open here."""
        self._held = None
        until_ns = now_ns + self._times.idle_after_ns
        self._counting.count_all(until_ns)  # nothing was read meanwhile
        for top in tops:
            self._counting.count(Channel(top), until_ns)
            self._note_top(top, now_ns)

    def watermark(
        self, now_ns: int, *, others_are_idle: bool = False, unprocessed_ns: int | None = None
    ) -> Watermark:
        """Return the source's watermark, and note whether it is waited for.

        ``others_are_idle`` says that no other input of the clocks it feeds is active.
        ``unprocessed_ns`` is when the oldest record that still waits here was read.
        """
        found = self._watermark(
            now_ns, others_are_idle=others_are_idle, unprocessed_ns=unprocessed_ns
        )
        self._status = found.status
        return found

    def _watermark(
        self, now_ns: int, *, others_are_idle: bool, unprocessed_ns: int | None
    ) -> Watermark:
        if self._has_ended and unprocessed_ns is None:
            return Watermark(END, Status.ENDED)
        if self._held is not None:
            return self._held
        slowest = self._counting.slowest(now_ns)
        if isinstance(self._times, IngestTime):
            return self._ingest_watermark(now_ns, unprocessed_ns)
        if self._settled_ns is not None and now_ns < self._settled_ns:
            return Watermark(self._time)
        if slowest is not None or unprocessed_ns is not None:
            self._quiet = None
            if slowest is not None:
                self._time = max(self._time, slowest.top - self._out_of_order_ns)
            return Watermark(self._time)
        if self._top > BEFORE_ALL:
            # As for clocks: nobody is waited for, so the channel that is furthest counts.
            self._time = max(self._time, self._top - self._out_of_order_ns)
            if self._times.when_quiet is WhenQuiet.ADVANCE:
                self._advance(now_ns, others_are_idle=others_are_idle)
        return Watermark(self._time, Status.IDLE)

    def next_check_ns(self, now_ns: int) -> int | None:
        """Return when the watermark may change without a record; ``None``: never."""
        if self._has_ended or self._held is not None:
            return None
        interval_ns = max(self._times.idle_after_ns // CHECKS_PER_IDLE_AFTER, 1)
        if self._settled_ns is not None and now_ns < self._settled_ns:
            return min(self._settled_ns, now_ns + interval_ns)
        moves_by_itself = isinstance(self._times, IngestTime) or (
            self._times.when_quiet is WhenQuiet.ADVANCE
        )
        if moves_by_itself and self._top > BEFORE_ALL and self._time < self._limit():
            return now_ns + min(self._move_every_ns or interval_ns, interval_ns)
        return None if self._counting.slowest(now_ns) is None else now_ns + interval_ns

    def may_read(self, slowest_ns: int, now_ns: int) -> bool:
        """Return whether the source may read on, by its last watermark; ``slowest_ns`` is the
        lowest active watermark of the clocks that it feeds."""
        if isinstance(self._times, IngestTime) or self._times.align_ns is None:
            return True
        if self._time <= slowest_ns + self._times.align_ns:
            return True
        # A channel that is not read is not silent. If it became idle here, it would be read again.
        for channel in self._channels.values():
            if channel.counts(now_ns):
                self._counting.count(channel, now_ns + self._times.idle_after_ns)
        return False

    @property
    def _out_of_order_ns(self) -> int:
        return 0 if isinstance(self._times, IngestTime) else self._times.out_of_order_ns

    def _limit(self) -> int:
        """Return how far a watermark goes without records: past all windows of the last one."""
        return self._top + self._horizon_ns + 1

    def _note_top(self, highest: int, now_ns: int) -> None:
        self._top = max(self._top, highest)
        self._quiet = None
        if self._settled_ns is None and isinstance(self._times, EventTime):
            self._settled_ns = now_ns + self._times.settle_ns

    def _ingest_watermark(self, now_ns: int, unprocessed_ns: int | None) -> Watermark:
        if unprocessed_ns is not None:
            self._time = max(self._time, unprocessed_ns)
            return Watermark(self._time)
        if self._top > BEFORE_ALL:
            self._time = max(self._time, min(now_ns, self._limit()))
        is_idle = self._time >= self._limit() or self._top == BEFORE_ALL
        return Watermark(self._time, Status.IDLE if is_idle else Status.ACTIVE)

    def _advance(self, now_ns: int, *, others_are_idle: bool) -> None:
        """Move an idle watermark with the wall clock while everything else is idle as well."""
        if not others_are_idle:
            self._quiet = None
            return
        if self._quiet is None:
            self._quiet = now_ns, self._time
        since_ns, time = self._quiet
        self._time = max(self._time, min(time + now_ns - since_ns, self._limit()))
