"""A station: the records that wait at one step for a call of the user's function.

    enter --> line --> call --> outcome, in the order that the step asks for --> take
                        |  ^
                        +--+ retry after a pause, until the deadline

The station is a machine without I/O. It says which calls begin (``Calls``), hears how they end, and
is asked when it wants to be woken (``wake_s``).

**What can go wrong**

* *A call ends after its deadline.* The record has had an outcome, perhaps is gone by then. A call
  that has timed out is not known any more, so what it reports later counts for nothing.
* *A result leaves, and a checkpoint still holds its record.* A recovery would ask again, and the
  result would count twice. So nothing leaves while a barrier is on its way: outcomes wait here too,
  and what a checkpoint holds is all that is here (``pending``).
* *One record makes the call for a batch fail.* After the retries of the batch, each record is tried
  alone, and only the one that fails again has failed.
* *Records leave for another worker in a resize while their calls are under way.* ``keep`` cancels
  these calls. The other worker makes them again.

**Invariants**

1. Each record has one outcome, and leaves once.
2. Every record in ``pending`` is in line, in one call, or has an outcome.
3. No more than ``capacity`` records are in calls or wait to leave.
"""

import heapq
from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Any

from wallaroo.metrics.station_times import StationTimes
from wallaroo.operators.station_records import WaitingRecord
from wallaroo.runtime.calls import Call, Calls, outcome_of_timeout
from wallaroo.runtime.held import (
    UNDECIDED,
    Failed,
    Held,
    outcomes_of,
    outcomes_of_batch,
)
from wallaroo.runtime.result_order import new_order
from wallaroo.topology.plan import Step
from wallaroo.topology.waiting import Runs, Waiting


class Station:
    """The records that wait at one step."""

    def __init__(
        self,
        step: Step,
        find_function: Callable[[], Callable[[Any], Any]],
        calls: Calls,
        clock: Callable[[], float],
        changed: Callable[[bool], None] = lambda _: None,
        times: StationTimes | None = None,
    ) -> None:
        """``find_function`` returns the user's function, ready to be called; it is asked late.

        ``changed`` is called when a call has ended, with whether something waits for a time since.
        """
        self._changed = changed
        assert step.waiting is not None
        self.step = step
        self._find_function = find_function
        self._found_function: Callable[[Any], Any] | None = None
        self._how: Waiting = step.waiting
        self._is_at_once = step.waiting.runs is Runs.AT_ONCE
        self._are_tasks = step.waiting.runs is Runs.AS_TASK
        self._calls = calls
        self._clock = clock
        self._pending: dict[int, Held] = {}
        self._line: deque[Held] = deque()
        self._alone: deque[Call] = deque()
        """Calls for single records of a batch that failed; they precede what is in line."""
        self._in_flight: dict[int, Call] = {}
        """By ticket: calls that run, or that wait for a retry."""
        self._called_count = 0
        """Records in calls, or with an outcome."""
        self._order = new_order(self._how.order)
        self._number = self._ticket = 0
        self._deadlines: list[tuple[float, int]] = []
        self._retries: list[tuple[float, int]] = []
        self._due_number = 0
        """The first record in line when ``wake`` last found that a batch is due."""
        self._is_flushing = False
        self._is_advancing = False
        self.times = StationTimes() if times is None else times

    # Records

    @property
    def pending(self) -> Collection[Held]:
        """All records that are here, in the order in which they arrived."""
        return self._pending.values()

    @property
    def is_full(self) -> bool:
        """Whether no more records should arrive."""
        return 0 < self._how.capacity <= len(self._pending)

    @property
    def has_results(self) -> bool:
        """Whether ``take`` would return anything."""
        return self._order.has_ready

    def enter(self, records: Iterable[WaitingRecord], read_ns: int = 0) -> None:
        """Add records with their keys and payloads, which were read at this time."""
        now_s = self._clock()
        self._add([Held(*record) for record in records], now_s, read_ns)
        self._advance(now_s)

    def _add(self, new: list[Held], now_s: float, read_ns: int = 0) -> None:
        for number, held in enumerate(new, self._number + 1):
            held.enter(number, now_s, read_ns)
        self._number += len(new)
        self._pending.update({held.number: held for held in new})
        self._line.extend(new)
        self._order.enter(new)

    def take(self, count: int) -> list[Held]:
        """Remove up to ``count`` records that have an outcome, and may leave now."""
        taken = self._order.take(count)
        pending = self._pending
        for held in taken:
            del pending[held.number]
        self._called_count -= len(taken)
        if taken:
            now_s = self._clock()
            # Those that leave together have waited about as long.
            self.times.waits.record(round((now_s - taken[0].entered_s) * 1e9), len(taken))
            self._advance(now_s)
        return taken

    def keep(self, wanted: Iterable[Held]) -> None:
        """Keep these records, and forget all others: those that are new here enter."""
        now_s = self._clock()
        wanted = sorted(wanted, key=lambda held: held.number)
        kept = {id(held) for held in wanted} & {id(held) for held in self._pending.values()}
        new = [held for held in wanted if id(held) not in kept]
        if len(kept) < len(self._pending):
            self._drop_all_but(kept)
        self._add(new, now_s)
        self._advance(now_s)

    def _drop_all_but(self, kept: set[int]) -> None:
        for ticket, call in [*self._in_flight.items()]:
            if any(id(held) not in kept for held in call.held):
                self._forget(ticket)
        self._alone = deque(call for call in self._alone if id(call.held[0]) in kept)
        self._pending = {number: h for number, h in self._pending.items() if id(h) in kept}
        busy = {id(h) for call in (*self._in_flight.values(), *self._alone) for h in call.held}
        undecided = [h for h in self._pending.values() if h.outcome is UNDECIDED]
        self._line = deque(held for held in undecided if id(held) not in busy)
        self._called_count = len(self._pending) - len(self._line)
        self._order = new_order(self._how.order)
        self._order.enter(self._pending.values())
        self._order.decided([h for h in self._pending.values() if h.outcome is not UNDECIDED])

    def close(self) -> None:
        """Cancel all calls."""
        for ticket in [*self._in_flight]:
            self._forget(ticket)

    def _forget(self, ticket: int) -> None:
        self._in_flight.pop(ticket).cancel()

    def flush(self) -> None:
        """Do not wait for more records to fill a batch, from now on."""
        self._is_flushing = True
        self._advance(self._clock())

    def fill(self) -> None:
        """Wait for more records to fill a batch again."""
        self._is_flushing = False

    # Calls

    @property
    def _function(self) -> Callable[[Any], Any]:
        if self._found_function is None:
            self._found_function = self._find_function()
        return self._found_function

    @property
    def has_batch(self) -> bool:
        """Whether ``run_batch`` would call the function."""
        return self._is_at_once and bool(self._line) and self._is_due()

    def run_batch(self) -> None:
        """Call the function for the records in line, and for each alone if that fails."""
        batch = self._next()
        self._called_count += len(batch)
        begun_s = self._clock()
        self._decide_each(batch, outcomes_of_batch(self._function, batch))
        self.times.calls.record(round((self._clock() - begun_s) * 1e9))

    def _next(self) -> list[Held]:
        line = self._line
        count = min(self._how.batch_max or 1, len(line))
        return [line.popleft() for _ in range(count)]

    def _is_due(self) -> bool:
        """Return whether the records in line have waited long enough for others."""
        line, how = self._line, self._how
        if how.batch_max is None or len(line) >= how.batch_max or self._is_flushing:
            return True
        return not how.max_wait_s or self._clock() >= line[0].entered_s + how.max_wait_s

    def _may_start(self) -> bool:
        if self._are_tasks:
            return self._called_count < self._how.capacity
        return not self._is_at_once and not self._in_flight

    def _advance(self, now_s: float) -> None:
        """Start the calls that may start now."""
        if self._is_advancing:
            return  # a call has ended as soon as it was started
        self._is_advancing = True
        while self._alone and (self._are_tasks or not self._in_flight):
            self._start(self._alone.popleft(), now_s)
        while self._line and self._may_start() and self._is_due():
            held = self._next()
            self._called_count += len(held)
            timeout_s = self._how.timeout_s
            deadline_s = None if timeout_s is None else now_s + timeout_s
            self._start(Call(held, deadline_s), now_s)
        self._is_advancing = False

    def _start(self, call: Call, now_s: float) -> None:
        self._ticket += 1
        ticket = self._ticket
        self._in_flight[ticket] = call
        if call.deadline_s is not None:
            heapq.heappush(self._deadlines, (call.deadline_s, ticket))
        self._attempt(ticket, call, now_s)

    def _attempt(self, ticket: int, call: Call, now_s: float) -> None:
        records = [held.record for held in call.held]
        argument = records[0] if self._how.batch_max is None else records
        call.begin(now_s)

        def ended(result: Any, error: BaseException | None) -> None:
            self._ended(ticket, result, error)
            self._changed(error is not None)

        cancel = self._calls.start(self.step, self._function, argument, ended, call)
        if call.is_running:
            call.cancel_with(cancel)

    def _ended(self, ticket: int, result: Any, error: BaseException | None) -> None:
        call = self._in_flight.get(ticket)
        if call is None or not call.is_running:
            return
        call.end()
        now_s = self._clock()
        self.times.calls.record(round((now_s - call.begun_s) * 1e9))
        if error is None:
            del self._in_flight[ticket]
            self._answered(call.held, result)
        else:
            self._raised(ticket, call, error, now_s)
        self._advance(now_s)

    def _answered(self, held: list[Held], result: Any) -> None:
        if self._how.batch_max is None:
            self._decide(held[0], result)
            return
        self._decide_each(held, outcomes_of(result, len(held)))

    def _raised(self, ticket: int, call: Call, error: BaseException, now_s: float) -> None:
        how = self._how
        again_s = now_s + how.backoff_s * 2 ** (call.attempts - 1)
        may_try = call.attempts <= how.retries and issubclass(type(error), how.retry_on)
        if may_try and (call.deadline_s is None or again_s < call.deadline_s):
            heapq.heappush(self._retries, (again_s, ticket))
            return
        del self._in_flight[ticket]
        if len(call.held) > 1:
            self._alone.extend(Call([held], call.deadline_s) for held in call.held)
        else:
            self._decide(call.held[0], Failed(error))

    # Time

    @property
    def wake_s(self) -> float | None:
        """When ``wake`` has something to do; ``None`` if nothing here waits for a time."""
        while self._deadlines and self._deadlines[0][1] not in self._in_flight:
            heapq.heappop(self._deadlines)
        times = [heap[0][0] for heap in (self._deadlines, self._retries) if heap]
        how, line = self._how, self._line
        # A batch that is due is called as soon as that is possible, and needs no alarm for it.
        is_waited_for = how.max_wait_s and line and line[0].number != self._due_number
        if is_waited_for and (how.runs is Runs.AT_ONCE or self._may_start()):
            times.append(line[0].entered_s + how.max_wait_s)
        return min(times, default=None)

    def wake(self) -> None:
        """Do what is due."""
        now_s = self._clock()
        while self._deadlines and self._deadlines[0][0] <= now_s:
            self._time_out(heapq.heappop(self._deadlines)[1])
        while self._retries and self._retries[0][0] <= now_s:
            ticket = heapq.heappop(self._retries)[1]
            call = self._in_flight.get(ticket)
            if call is not None:
                self._attempt(ticket, call, now_s)
        self._advance(now_s)
        if self._line and self._how.max_wait_s and self._is_due():
            self._due_number = self._line[0].number

    def _time_out(self, ticket: int) -> None:
        call = self._in_flight.get(ticket)
        if call is None:
            return
        self._forget(ticket)
        for held in call.held:
            self._decide(held, outcome_of_timeout(self._how, held.record))

    # Outcomes

    def _decide(self, held: Held, outcome: Any) -> None:
        held.decide(outcome)
        self._order.decided((held,))

    def _decide_each(self, batch: list[Held], outcomes: Iterable[Any]) -> None:
        for held, outcome in zip(batch, outcomes, strict=True):
            held.decide(outcome)
        self._order.decided(batch)

    def check(self) -> None:
        """Assert the invariants."""
        in_calls = [held for call in self._in_flight.values() for held in call.held]
        alone = [call.held[0] for call in self._alone]
        undecided = [held for held in self._pending.values() if held.outcome is UNDECIDED]
        waiting = [*self._line, *in_calls, *alone]
        assert sorted(map(id, undecided)) == sorted(map(id, waiting)), "a record is in two places"
        assert self._called_count == len(self._pending) - len(self._line)
        if self._how.runs is Runs.AS_TASK:
            room = self._how.capacity + (self._how.batch_max or 1) - 1
            assert self._called_count <= room, "too many calls are under way"
