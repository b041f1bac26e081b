"""The stations of one worker: all steps at which records wait.

The engine gives them the records that have reached a step, and takes what may go on from there. To
it, stations are like sources: nothing leaves a station while a barrier is on its way through this
worker, so what is here when the barrier is through is exactly what a checkpoint has to hold. It
holds these records in a **held state** for each step. Records that are at the owner of their key
are there by their keys, so a restore or a resize brings them to the owner again; others are there
by keys that are made so that this worker owns them.

A station that is full stops what feeds it, except behind a barrier that is on its way: the barrier
must not wait for answers from outside, so all that is before it is taken.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

from wallaroo.names import StepId
from wallaroo.operators.dataflow import Dataflow
from wallaroo.operators.keyed_state import KeyedState
from wallaroo.runtime.alarms import Alarms, EarliestAlarm
from wallaroo.runtime.calls import Calls
from wallaroo.runtime.held import Failed, Held
from wallaroo.runtime.station import Station

SLOT_RECORDS = 64
"""Records without an owner are pickled together in lists of so many."""


class Stations:
    """The stations of one dataflow, in the order of the plan."""

    def __init__(
        self,
        dataflow: Dataflow,
        calls: Calls,
        clock: Callable[[], float],
        alarms: Alarms,
        wake_engine: Callable[[], None],
    ) -> None:
        """``wake_engine`` is called if something may go on."""
        self._dataflow = dataflow
        self._clock = clock
        self._alarm = EarliestAlarm(alarms.at, self._rings)
        self._wake_engine = wake_engine
        self._is_closed = False
        self._is_held = True
        self._stations = {
            step.id: Station(
                step,
                partial(dataflow.waiting.function_of, step),
                calls,
                clock,
                self._changed,
                dataflow.waiting.times[step.id],
            )
            for step in dataflow.waiting.steps
        }
        self._reached_from = [
            [station for step, station in self._stations.items() if step in steps]
            for steps in dataflow.waiting.reached()
        ]
        """By pipeline: the stations that its records reach."""
        self._behind = {
            step: self._stations_behind(step, dataflow.waiting.pipeline_of(step))
            for step in self._stations
        }
        """By step: the stations that its results reach."""
        self._emptied: dict[StepId, Callable[[], None]] = {}
        """What to call once a station is empty."""

    def _stations_behind(self, step: StepId, pipeline: int) -> list[Station]:
        reached = self._reached_from[pipeline]
        here = reached.index(self._stations[step])
        return reached[here + 1 :]

    # Holding

    def hold(self) -> None:
        """Let nothing leave until ``release``."""
        self._is_held = True

    def release(self) -> None:
        """Let results leave again."""
        self._is_held = False
        self._arm()

    def flush(self) -> None:
        """Let no record wait for others to fill a batch."""
        for station in self._stations.values():
            station.flush()

    def close(self) -> None:
        """Cancel all calls, and forget everything."""
        self._is_closed = True
        for station in self._stations.values():
            station.close()

    # Records

    def blocks(self, pipeline: int) -> bool:
        """Return whether records of a pipeline have to wait, since a station is full."""
        return any(station.is_full for station in self._reached_from[pipeline])

    def collect(self, read_ns: int) -> None:
        """Take the records that have reached a step; they were read at this time."""
        has_new = False
        for step, station in self._stations.items():
            if records := self._dataflow.waiting.take(step):
                station.enter(records, read_ns)
                has_new = True
        if has_new:
            self._arm()

    @property
    def are_waiting(self) -> bool:
        """Whether any record waits at a step."""
        return any(station.pending for station in self._stations.values())

    def earliest_time(self, step: StepId) -> int | None:
        """Return the earliest time of the records that wait at a step."""
        pending = self._stations[step].pending
        return min((held.time for held in pending if held.time is not None), default=None)

    @property
    def has_work(self) -> bool:
        """Whether ``next_results`` would return anything."""
        return not self._is_held and self._next() is not None

    def next_results(self, count: int) -> tuple[Station, list[Held]]:
        """Return a station with up to ``count`` records that leave it; perhaps none yet."""
        station = self._next()
        assert station is not None
        if not station.has_results:
            station.run_batch()
        return station, station.take(count)

    def _next(self) -> Station | None:
        # The last ones first, so that records leave before others enter.
        for step, station in reversed(self._stations.items()):
            may_leave = station.has_results or station.has_batch
            if may_leave and not any(behind.is_full for behind in self._behind[step]):
                return station
        return None

    def run(self, station: Station, leaving: list[Held], *, is_watched: bool) -> int:
        """Run records that leave through the chain behind their step.

        Return when the first of them was read.
        """
        step, read_ns = station.step, leaving[0].read_ns
        self._dataflow.waiting.count_leaving(step.id, len(leaving))
        failed = [held for held in leaving if type(held.outcome) is Failed]
        for held in failed:
            self._dataflow.waiting.fail(
                step, held.outcome.error, held.key, held.record, held.payload
            )
        if failed:
            leaving = [held for held in leaving if type(held.outcome) is not Failed]
        if leaving:
            columns = [
                [held.key for held in leaving],
                [held.outcome for held in leaving],
                [held.payload for held in leaving],
            ]
            if self._dataflow.waiting.needs_time(step.id):
                columns.append([held.time for held in leaving])
            self._dataflow.waiting.run_results(
                step.id, columns, is_watched=is_watched, read_ns=read_ns
            )
        self.collect(read_ns)
        self._changed()
        return read_ns

    # Barriers

    def pass_barrier(self, step: StepId, *, is_last: bool, then: Callable[[], None]) -> None:
        """Let a barrier pass a step: call ``then``, now or later.

        Nothing that is here has to leave first, if a checkpoint or a resize can hold it. The last
        barrier of a run, ``is_last``, waits until the station is empty.
        """
        station = self._stations[step]
        how = station.step.waiting
        assert how is not None
        if is_last:
            station.flush()
            self._emptied[step] = then
            self._changed()
        else:
            if not how.is_held:
                self._flush(station)
            then()

    def _flush(self, station: Station) -> None:
        """Run everything that waits for a batch, though a barrier is on its way."""
        station.flush()
        while station.has_batch:
            station.run_batch()
            self.run(station, station.take(len(station.pending)), is_watched=False)
        station.fill()

    def save(self) -> None:
        """Put all records that are here into the held states."""
        for station in self._stations.values():
            how = station.step.waiting
            assert how is not None
            if how.state:
                held_state = self._dataflow.states[how.state]
                found = self._by_key(station, how.state, is_at_owner=how.is_at_owner)
                _update(held_state, found)

    def restore(self) -> None:
        """Go on with what the held states have, after a restore or when owners have changed."""
        for station in self._stations.values():
            how = station.step.waiting
            assert how is not None
            if how.state:
                states = self._dataflow.states[how.state]
                station.keep(held for records in states.values() for held in records)
        self._arm()

    def _by_key(self, station: Station, state: str, *, is_at_owner: bool) -> dict[Any, list[Held]]:
        found: dict[Any, list[Held]] = {}
        if is_at_owner:
            for held in station.pending:
                found.setdefault(held.key, []).append(held)
            return found
        pending, slots = [*station.pending], self._slots(state)
        for first in range(0, len(pending), SLOT_RECORDS):
            found[next(slots)] = pending[first : first + SLOT_RECORDS]
        return found

    def _slots(self, state: str) -> Iterator[str]:
        """Yield keys of a held state that this worker owns."""
        keys = (f"{self._dataflow.waiting.me}/{number}" for number in count())
        return (key for key in keys if self._dataflow.waiting.owns(state, key))

    # Time

    def _changed(self, may_have_alarm: bool = True) -> None:
        """A call has ended, or records have left."""
        if self._is_closed:
            return
        if self._emptied:
            for step in [*self._emptied]:
                if not self._stations[step].pending:
                    self._emptied.pop(step)()
        if may_have_alarm:
            self._arm()
        self._wake_engine()

    def _arm(self) -> None:
        times = [each.wake_s for each in self._stations.values()]
        when_s = min((each for each in times if each is not None), default=None)
        if when_s is not None:
            self._alarm.set(when_s)

    def _rings(self) -> None:
        if self._is_closed:
            return
        for station in self._stations.values():
            station.wake()
        self._changed()

    def check(self) -> None:
        """Assert the invariants."""
        for station in self._stations.values():
            station.check()


def _update(state: KeyedState, found: dict[Any, list[Held]]) -> None:
    """Let a held state have exactly these records."""
    for key in [key for key in state if key not in found]:
        state.delete(key)
    for key, records in found.items():
        if state.get(key) != records:
            state.replace(key, records)
