"""Calls for records that wait at a step, without threads and without an event loop.

A coroutine function has to come to its end by itself here: what it awaits must be ready. Its answer
may arrive later all the same, and in another order than it was asked for.
"""

from collections.abc import Callable, Coroutine
from typing import Any

from wallaroo.errors import WallarooError
from wallaroo.operators.dataflow import Dataflow
from wallaroo.runtime.alarms import Alarms
from wallaroo.runtime.calls import Ended
from wallaroo.runtime.engine import RESULTS_MAX
from wallaroo.runtime.stations import Stations
from wallaroo.testing.loop import Process
from wallaroo.topology.plan import Step
from wallaroo.topology.waiting import Runs

Function = Callable[[Any], Any]

SLOW_S = (0.0, 0.001, 0.05, 0.5)
"""The mean time until an answer, which is drawn for each call: most are quick, some are late."""


class WaitsError(WallarooError):
    """A coroutine waits for something outside, which does not exist here."""


class PlainCalls:
    """Each call ends before ``start`` returns."""

    def start(
        self, step: Step, function: Function, argument: Any, ended: Ended
    ) -> Callable[[], object]:
        """Call the function, and report how that has ended."""
        ended(*outcome_of(step, function, argument))
        return _nothing


class PlainStations:
    """The steps of a dataflow at which records wait, without a worker around it.

    Nothing waits longer than it has to, and pauses before retries take no time.
    """

    def __init__(self, dataflow: Dataflow) -> None:
        self._now_s = 0.0
        self._timers: list[tuple[float, Callable[[], object]]] = []
        alarms = Alarms(lambda: self._now_s, self._call_later)
        self._stations = Stations(
            dataflow, PlainCalls(), lambda: self._now_s, alarms, wake_engine=_nothing
        )
        self._stations.release()
        self._stations.flush()

    def _call_later(self, delay_s: float, run: Callable[[], object]) -> None:
        self._timers.append((self._now_s + delay_s, run))

    def settle(self) -> bool:
        """Process all that waits at steps; return whether anything did."""
        has_processed = False
        self._stations.collect(0)
        while self._stations.has_work or self._ring():
            if self._stations.has_work:
                station, leaving = self._stations.next_results(RESULTS_MAX)
                self._stations.run(station, leaving, is_watched=False)
                has_processed = True
        return has_processed

    def _ring(self) -> bool:
        """Let the next alarm ring, if records wait for it."""
        if not self._stations.are_waiting or not self._timers:
            return False
        first = min(self._timers, key=lambda timer: timer[0])
        self._timers.remove(first)
        self._now_s = max(self._now_s, first[0])
        first[1]()
        return True


class SimulatedCalls:
    """The calls of one simulated worker: their answers arrive in any order."""

    def __init__(self, process: Process, problems: list[str]) -> None:
        self._process = process
        self._problems = problems

    def start(
        self, step: Step, function: Function, argument: Any, ended: Ended
    ) -> Callable[[], object]:
        """Start a call. The function is called when its answer arrives."""
        is_cancelled = False

        def answer() -> None:
            if is_cancelled:
                return
            try:
                result, error = outcome_of(step, function, argument)
            except WaitsError as waits:
                self._problems.append(waits.what)
            else:
                ended(result, error)

        def cancel() -> None:
            nonlocal is_cancelled
            is_cancelled = True

        random = self._process.loop.random
        mean_s = random.choice(SLOW_S)
        self._process.call_later(random.expovariate(1 / mean_s) if mean_s else 0.0, answer)
        return cancel


def outcome_of(step: Step, function: Function, argument: Any) -> tuple[Any, BaseException | None]:
    """Return what a call returns, or the error that it raises.

    Raises ``WaitsError`` if the call waits for something that does not happen here.
    """
    assert step.waiting is not None
    try:
        called = function(argument)
        if step.waiting.runs is Runs.AS_TASK:
            return _driven(step, called), None
    except WaitsError:
        raise
    except BaseException as error:  # noqa: BLE001  whatever user code raises is a failure
        return None, error
    return called, None


def _driven(step: Step, coroutine: Coroutine[Any, Any, Any]) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise WaitsError(
        f"step {step.name!r} waits for something outside, which a test without an event loop does "
        "not have",
        "give the application a client for tests that answers at once, such as a resource",
    )


def _nothing() -> None:
    """A call that has ended cannot be cancelled."""
