"""The clock of a timed state on one worker, and what a worker tells others about its own time.

A **watermark** of a sender over an edge says: no record with a lower time follows. A record whose
time equals the watermark is not late. Watermarks travel behind the records, in order, as barriers
do. The **vector** of a clock holds the last one from each sender, with its status. The clock is the
highest value that the vector ever gave: it never goes back.

Three lines say what a vector gives. If senders are active, the minimum of their watermarks. If not,
but some are idle, the *maximum* of theirs: nobody is waited for. If all have ended, the end of
time. A sender that ended never counts beside others, and one that resumes counts at once, even if
its watermark is not higher than before.

At a checkpoint all workers have to hold the same vector, since each is restored with what all of
them saved. A watermark that is sent behind a barrier is held back by the receivers until they are
aligned. **A worker's own watermark does not travel, so it has to be held back here**, from the time
it sends its own barrier until it is aligned. Otherwise its cut has a watermark that the cuts of the
others do not have, and which records are late after a recovery depends on who is asked.

A stage tells the next one how far its results are complete, never its clock, because results that
are due but not yet fired have earlier times.
"""

import enum
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Generic, NamedTuple, TypeVar

from wallaroo.timing.instants import BEFORE_ALL, END

FRAME_INTERVAL_NS = 20_000_000
"""A worker sends its watermark over an edge at most this often, but always before a barrier."""


class Status(enum.IntEnum):
    """What a sender's watermark means for those who wait; the value is that of the wire."""

    ACTIVE = 0
    IDLE = 1
    ENDED = 2


class Watermark(NamedTuple):
    """No record with a time before ``time`` follows from a sender."""

    time: int
    status: Status = Status.ACTIVE


NOTHING_YET = Watermark(BEFORE_ALL)

SenderT = TypeVar("SenderT", bound=Hashable)


def combine(watermarks: Iterable[Watermark]) -> int:
    """Return the time up to which all senders together have given their records."""
    lowest_active: int | None = None
    highest_idle: int | None = None
    for time, status in watermarks:
        if status is Status.ACTIVE:
            lowest_active = time if lowest_active is None else min(time, lowest_active)
        elif status is Status.IDLE:
            highest_idle = time if highest_idle is None else max(time, highest_idle)
    if lowest_active is not None:
        return lowest_active
    return END if highest_idle is None else highest_idle


def of_stage(watermarks: Collection[Watermark]) -> Watermark:
    """Return the watermark of a stage with windows or timers, from those of all its workers.

    They all hear the same of its inputs, but not at the same time. A worker that says it is idle
    beside one that is active, or has ended, has not heard the last of them yet. It is going to give
    results for it, so it is waited for.
    """
    going_on = [each for each in watermarks if each.status is not Status.ENDED]
    if not going_on:
        return Watermark(END, Status.ENDED)
    are_idle = all(each.status is Status.IDLE for each in watermarks)
    lowest = min(each.time for each in going_on)
    return Watermark(lowest, Status.IDLE if are_idle else Status.ACTIVE)


class Clock(Generic[SenderT]):
    """The clock of one timed state on one worker.

    A sender is whatever sends watermarks in order: an edge and a worker. Senders are given at the
    start, so that the clock waits for those that have sent nothing yet.
    """

    def __init__(
        self,
        senders: Iterable[SenderT],
        stage_of: Callable[[SenderT], Hashable] = lambda sender: sender,
    ) -> None:
        """Senders that ``stage_of`` gives the same value for are one stage on several workers."""
        self._stage_of = stage_of
        self._vector: dict[SenderT, Watermark] = dict.fromkeys(senders, NOTHING_YET)
        assert self._vector, "a clock without senders would be at its end at once"
        self._held: list[tuple[SenderT, Watermark]] = []
        self._held_senders: set[SenderT] = set()
        self.time = BEFORE_ALL
        """The clock. Whether a record is late is decided by this, never by what has fired."""

    @property
    def vector(self) -> Mapping[SenderT, Watermark]:
        """The last watermark of each sender; it changes with them."""
        return self._vector

    def receive(self, sender: SenderT, watermark: Watermark) -> bool:
        """Take a watermark; return whether the clock moved.

        It may be lower than the last one, if keys have moved to the sender whose windows had not
        fired as far as its own.
        """
        last = self._vector[sender]
        self._vector[sender] = watermark
        is_active = last.status is watermark.status is Status.ACTIVE
        if is_active and min(last.time, watermark.time) > self.time:
            return False  # another active sender holds the clock back
        return self._recompute()

    def receive_own(self, sender: SenderT, watermark: Watermark) -> bool:
        """Take this worker's own watermark, once it has sent the same one to all others."""
        if sender in self._held_senders:
            self._held.append((sender, watermark))
            return False
        return self.receive(sender, watermark)

    def hold_own(self, sender: SenderT) -> None:
        """Hold this worker's own watermarks back: it has sent its barrier the same way."""
        assert sender not in self._held_senders, "the last barrier is not aligned yet"
        self._held_senders.add(sender)

    def release_own(self) -> bool:
        """Apply the watermarks that were held back, now that the cut is taken; return whether the
        clock moved."""
        self._held_senders.clear()
        held, self._held = self._held, []
        moves = [self.receive(sender, watermark) for sender, watermark in held]
        return any(moves)

    def restarted(self, sender: SenderT) -> None:
        """Wait for the first watermark of a sender that starts anew; the clock stays."""
        self._vector[sender] = NOTHING_YET

    def catch_up(self, time: int) -> None:
        """Move to at least this time, which a checkpoint or another worker had."""
        self.time = max(self.time, time)

    def set_senders(self, senders: Iterable[SenderT]) -> bool:
        """Wait for these senders from now on; return whether the clock moved.

        The clock stays where it is until a new sender has sent its first watermark.
        """
        assert not self._held_senders, "senders change only between barriers"
        self._vector = {sender: self._vector.get(sender, NOTHING_YET) for sender in senders}
        assert self._vector, "a clock without senders would be at its end at once"
        return self._recompute()

    def _recompute(self) -> bool:
        stages: dict[Hashable, list[Watermark]] = {}
        for sender, watermark in self._vector.items():
            stages.setdefault(self._stage_of(sender), []).append(watermark)
        time = combine(map(of_stage, stages.values()))
        if time <= self.time:
            return False
        self.time = time
        return True


class ClockSender:
    """Decides when a worker sends its watermark over one edge.

    A change is sent at most every 20 ms, behind the records, and always before a barrier.
    """

    def __init__(self, *, interval_ns: int = FRAME_INTERVAL_NS) -> None:
        self._interval_ns = interval_ns
        self._sent = NOTHING_YET
        self._sent_ns: int | None = None
        self._knows = True
        """Whether all members know what was sent."""

    @property
    def sent(self) -> Watermark:
        """The last watermark that was sent."""
        return self._sent

    def resend(self) -> None:
        """Send the next watermark even if it is the same: a member may not know it."""
        self._knows = False

    def restart(self) -> None:
        """Send the next watermark, even if it is lower than the last one."""
        self._sent = NOTHING_YET
        self.resend()

    def due(self, watermark: Watermark, now_ns: int, *, is_forced: bool) -> bool:
        """Return whether to send ``watermark`` to all members now; then it counts as sent."""
        assert watermark.time >= self._sent.time, "a watermark went back"
        if watermark == self._sent and self._knows:
            return False
        if not is_forced and (wait_ns := self.wait_ns(now_ns)) is not None and wait_ns > 0:
            return False
        self._sent, self._sent_ns, self._knows = watermark, now_ns, True
        return True

    def wait_ns(self, now_ns: int) -> int | None:
        """Return how long the next change has to wait, or ``None`` if nothing was sent yet."""
        if self._sent_ns is None:
            return None
        return max(self._sent_ns + self._interval_ns - now_ns, 0)


def passed_on(inputs: Mapping[SenderT, Watermark], time: int) -> Watermark:
    """Return the watermark of a stage whose results are complete up to ``time``.

    It is idle if nothing of its inputs is active, and ended if all inputs have ended.
    """
    statuses = {mark.status for mark in inputs.values()}
    if Status.ACTIVE in statuses:
        return Watermark(time, Status.ACTIVE)
    return Watermark(time, Status.IDLE if Status.IDLE in statuses else Status.ENDED)


def not_before(watermark: Watermark, last: Watermark) -> Watermark:
    """Return a watermark that does not go back: what was late when it waited stays late."""
    return watermark if watermark.time >= last.time else Watermark(last.time)
