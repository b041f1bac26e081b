"""What clocks have made due, which runs in slices like records."""

from collections.abc import Callable, MutableMapping
from typing import Any

from wallaroo.metrics.deliveries import UNKNOWN_NS
from wallaroo.operators.pacing import Pacer
from wallaroo.operators.timed_states import TimedStates
from wallaroo.runtime.stations import Stations


class DueWork:
    """Runs the due work of one worker, state by state in the order of the plan."""

    def __init__(
        self,
        timed: TimedStates,
        pacers: MutableMapping[Any, Pacer],
        clock: Callable[[], float],
    ) -> None:
        """``pacers`` makes a pacer for each name; ``clock`` returns seconds."""
        self._timed = timed
        self._pacers = pacers
        self._clock = clock
        self._is_held = False
        self._waits_under_pressure = True

    def hold(self) -> None:
        """Run nothing until ``release``."""
        self._is_held = True

    def release(self) -> None:
        """Run what is due."""
        self._is_held = False

    def stop_waiting(self) -> None:
        """Run what is due under pressure, too: this run ends, and nothing else lowers it.

        Results in an outbox leave with the next checkpoint. The last one waits for all that is due,
        which would wait for the outbox.
        """
        self._waits_under_pressure = False

    def may_run(self, stations: Stations | None, *, is_under_pressure: bool) -> bool:
        """Return whether anything is due, and nothing holds it back."""
        if self._is_held or (is_under_pressure and self._waits_under_pressure):
            return False
        state = self._timed.due_state
        if state is None:
            return False
        return stations is None or not stations.blocks(self._timed.pipeline_of(state))

    def run(self, stations: Stations | None) -> int:
        """Run a slice; return the index of the pipeline that it has left."""
        state = self._timed.due_state
        assert state is not None
        # Afterwards something of another pipeline that shares the state may be due.
        pipeline = self._timed.pipeline_of(state)
        pacer = self._pacers["due", state]
        started = self._clock()
        count = self._timed.fire_some(pacer.record_count)
        pacer.observe(count, self._clock() - started)
        if stations is not None:
            stations.collect(UNKNOWN_NS)
        return pipeline
