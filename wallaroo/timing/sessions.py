"""Sessions: windows of a key that end once it has had no record for a gap.

Each record has the span from its time up to a gap later; spans that overlap are one session. Ends
are exclusive, so two records exactly a gap apart are two sessions. With an inclusive end, whether
they are one would depend on when the watermark arrives.

The sessions of a key are a list, sorted by start, nearly always of one. A key has one timer, for
the first of them that is due. When a session grows, the timer is left alone; when it comes up, it
is set again. So a record of a session that is open costs no more than a record of any keyed state.

A session is closed when the clock has passed its end, whether it has fired or not. A closed one is
kept only with the late policy *update*: then a late record may still join it, or join two of them.
Their results are then superseded by one of kind *update*.
"""

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Any

from wallaroo.timing.instants import BEFORE_ALL
from wallaroo.timing.keyed_objects import KeyedObjects
from wallaroo.timing.timers import OneTimer
from wallaroo.timing.window_firing import Fired
from wallaroo.timing.window_spec import (
    LatePolicy,
    ResultKind,
    SessionWindows,
    Window,
    WindowSpec,
)
from wallaroo.timing.window_store import WindowStore

SESSIONS_OF_KEY_MAX = 10_000


class Session:
    """One session of a key."""

    __slots__ = ("accumulator", "end", "has_fired", "record_count", "start", "was_given")

    def __init__(self, start: int, end: int, accumulator: Any) -> None:
        self.start = start
        self.end = end
        self.accumulator = accumulator
        self.has_fired = False
        """Whether its last result is given, so that only late records may change it."""
        self.was_given = False
        """Whether a final result was given for it, or for a part of it."""
        self.record_count = 0
        """Since its last early result, if those are counted."""

    def extend(self, start: int, end: int) -> None:
        """Let it have these bounds; it is going to fire when they are over."""
        self.start, self.end = start, end
        self.has_fired = False

    def set_accumulator(self, accumulator: Any) -> None:
        """Note what it is now."""
        self.accumulator = accumulator

    def fire(self) -> None:
        """Note that its final result is given."""
        self.has_fired = self.was_given = True

    def counted(self, count_max: int) -> bool:
        """Count a record; return whether an early result is due after so many."""
        self.record_count = (self.record_count + 1) % count_max
        return self.record_count == 0


class SessionStore(WindowStore):
    """The sessions of one state on one worker."""

    def __init__(
        self, spec: WindowSpec, state: KeyedObjects, *, sessions_max: int = SESSIONS_OF_KEY_MAX
    ) -> None:
        """What ``state`` has already, from a checkpoint, is taken over."""
        super().__init__(spec)
        assert isinstance(spec.windows, SessionWindows)
        assert spec.aggregation.merge is not None
        self._gap_ns = spec.windows.gap_ns
        self._longest_ns = spec.windows.longest_ns
        self._merge = spec.aggregation.merge
        self._sessions_max = sessions_max
        self._state = state
        self._timers = OneTimer()
        """When something has to be done about a key: not later, but perhaps earlier."""
        self._may_be_due = False
        self._changed: dict[Any, None] = {}
        """Keys that have changed since the last early results, if those come by the clock."""
        self._early: deque[Any] = deque()
        self._next_fired = BEFORE_ALL
        self.add_keys(state.objects)

    def add_keys(self, keys: Iterable[Any]) -> None:
        """Set the timers of keys that were restored or moved here, whose sessions ``state`` has."""
        for key in keys:
            self._set_timer(key, min(map(self._due_at, self._state.objects[key])))

    def drop_keys(self, keys: Iterable[Any]) -> None:
        """Forget keys that move to another worker."""
        leaving = {*keys}
        for key in leaving:
            self._timers.cancel(key)
            self._changed.pop(key, None)
        self._early = deque(key for key in self._early if key not in leaving)

    def take_clock(self, clock: int, fired: int) -> None:
        """Go on with keys of another worker, which has fired up to ``fired``."""
        super().take_clock(clock, fired)
        self._next_fired = BEFORE_ALL

    @staticmethod
    def holders(sessions: list[Session]) -> list[Session]:
        """Return what has accumulators in the object of a key."""
        return sessions

    @property
    def is_due(self) -> bool:
        """Whether ``fire_some`` has something to do."""
        return bool(self._ready or self._early or self._may_be_due)

    @property
    def open_count(self) -> int:
        """Return how many keys have sessions."""
        return len(self._state.objects)

    def add(self, key: Any, record: Any, time: int) -> None:
        """Add a record to the sessions of its key, or deal with it as the late policy says.

        A chain may add a record at ``time`` to the one session of a key by itself if ``start <=
        time < end`` and ``end > closed_until``, and moves its end to ``time + gap``. It leaves all
        else to ``add``, and everything if there is a longest session, ``until`` or early results.

        A chain gives what ``fire_ready`` has before it takes the next record.
        """
        mine: list[Session] = self._state.objects.get(key, [])
        end = time + self._gap_ns
        joined = [each for each in mine if self._joins(each, time, end)] if mine else []
        if not joined and self._has_passed(end, self._lateness_ns):
            self._add_late(key, record, time)
            return
        self._state.before_change(key)
        session = self._merged(joined, time, end) if joined else self._new(time, end)
        session.set_accumulator(self._aggregation.updated(record, session.accumulator, time))
        kept = [each for each in mine if each not in joined] if mine else mine
        if len(kept) >= self._sessions_max:
            raise ValueError(f"a key has {len(kept)} sessions already")
        self._state.objects[key] = sorted([*kept, session], key=_start_of) if kept else [session]
        self._set_timer(key, self._due_at(session))
        self._give_results(key, session)

    def advance(self, clock: int) -> None:
        """Move the clock. What is due then is given by ``fire_some``."""
        if self._move_clock(clock):
            self._early.extend(self._changed)
            self._changed = {}
        self._may_be_due = True

    def fire_some(self, key_count_max: int) -> Fired | None:
        """Return the next result; ``None`` if nothing is due. It has looked at no more than
        ``key_count_max`` keys, and may have found nothing yet."""
        if self._ready or not self.is_due:
            return self.fire_ready()
        # Only now: results of the key before were still to be given.
        self.fired = max(self.fired, self._next_fired)
        key_count = 0
        for time, key in islice(self._timers.take(self.clock), key_count_max):
            key_count += 1
            self._fire_key(key, time)
            self._next_fired = time - self._rules.delay_ns
            if self._ready:
                return self.fire_ready()
        if key_count < key_count_max:
            self._may_be_due = False
            self.fired = max(self.fired, self.closed_until)
            if self._early:
                self._give_early(self._early.popleft())
        nothing = Fired([], [], Window(self.fired, self.fired), ResultKind.FINAL)
        return self.fire_ready() or nothing

    def get(self, key: Any) -> list[tuple[Window, Any]]:
        """Return the open sessions of a key with their accumulators, in order."""
        return [
            (Window(each.start, each.end), each.accumulator)
            for each in self._state.objects.get(key, [])
            if not each.has_fired
        ]

    @property
    def _lateness_ns(self) -> int:
        return self._rules.allow_late_ns if self._rules.late is LatePolicy.UPDATE else 0

    def _due_at(self, session: Session) -> int:
        """Return when something has to be done about a session: fire it, or forget it."""
        later_ns = self._lateness_ns if session.has_fired else 0
        return session.end + self._rules.delay_ns + later_ns

    def _joins(self, session: Session, time: int, end: int) -> bool:
        """Return whether a record joins a session."""
        if not (session.start < end and time < session.end):
            return False
        if self._has_passed(session.end, self._lateness_ns):
            return False
        if self._longest_ns is None:
            return True
        # A record before the start may make it too long; then it has a session of its own.
        return session.start <= time or session.end - time <= self._longest_ns

    def _new(self, time: int, end: int) -> Session:
        if self._longest_ns is not None:
            end = min(end, time + self._longest_ns)
        return Session(time, end, self._aggregation.initial())

    def _merged(self, joined: list[Session], time: int, end: int) -> Session:
        """Return one session of these and the span of a record."""
        start = min([time, *(each.start for each in joined)])
        end = max([end, *(each.end for each in joined)])
        if self._longest_ns is not None:
            end = min(end, start + self._longest_ns)
        accumulator = joined[0].accumulator
        for each in joined[1:]:
            accumulator = self._merge(accumulator, each.accumulator)
        session = joined[0] if len(joined) == 1 else Session(start, end, accumulator)
        session.extend(start, end)
        session.was_given = any(each.was_given for each in joined)
        return session

    def _add_late(self, key: Any, record: Any, time: int) -> None:
        self.late_count += 1
        if self._rules.late is LatePolicy.SIDE:
            self._side.append((key, record, time))
        elif self._rules.late is LatePolicy.FIRE_PER_MESSAGE:
            alone = self._aggregation.updated(record, self._aggregation.initial(), time)
            window = Window(time, time + self._gap_ns)
            self._ready.append(Fired([key], [alone], window, ResultKind.LATE))

    def _give_results(self, key: Any, session: Session) -> None:
        """Give the results that a record causes by itself."""
        rules = self._rules
        if self._has_passed(session.end):
            self._give_final(key, session)
        elif rules.until is not None and rules.until(key, session.accumulator):
            self._give_final(key, session)
            self._keep(key, [each for each in self._state.objects[key] if each is not session])
        elif rules.early_count is not None and session.counted(rules.early_count):
            self._give(key, session, ResultKind.EARLY)
        elif rules.early_every_ns is not None:
            self._changed[key] = None

    def _give(self, key: Any, session: Session, kind: ResultKind) -> None:
        window = Window(session.start, session.end)
        self._ready.append(Fired([key], [session.accumulator], window, kind))

    def _give_final(self, key: Any, session: Session) -> None:
        self._give(key, session, ResultKind.UPDATE if session.was_given else ResultKind.FINAL)
        session.fire()

    def _give_early(self, key: Any) -> None:
        for session in self._state.objects.get(key, []):
            if not session.has_fired and not self._has_passed(session.end):
                self._give(key, session, ResultKind.EARLY)

    def _set_timer(self, key: Any, due_at: int) -> None:
        """Set the timer of a key, unless it comes up early enough."""
        pending = self._timers.due.get(key)
        if pending is None or due_at < pending:
            self._timers.set(key, due_at)
            self._may_be_due = self._may_be_due or due_at <= self.clock

    def _fire_key(self, key: Any, time: int) -> None:
        """Fire what is due of a key at ``time``, and forget what no late record may change."""
        mine = self._state.objects.get(key)
        if mine is None:
            return
        due = [each for each in mine if self._due_at(each) <= time]
        if not due:
            # They have grown since the timer was set.
            self._set_timer(key, min(map(self._due_at, mine)))
            return
        self._state.before_change(key)
        for session in due:
            if not session.has_fired:
                self._give_final(key, session)
        self._keep(key, [each for each in mine if each not in due or self._due_at(each) > time])

    def _keep(self, key: Any, sessions: list[Session]) -> None:
        if sessions:
            self._state.objects[key] = sessions
            self._set_timer(key, min(map(self._due_at, sessions)))
        else:
            self._state.remove(key)


def _start_of(session: Session) -> int:
    return session.start
