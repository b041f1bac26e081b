"""Calls for records that wait at a step, without threads and without an event loop.

A coroutine function has to come to its end by itself here: what it awaits must be ready. Its answer
may arrive later all the same, and in another order than it was asked for.
"""

from collections.abc import Callable, Coroutine, Iterator
from typing import Any

from wallaroo.errors import WallarooError
from wallaroo.operators.dataflow import Dataflow
from wallaroo.runtime.alarms import Alarms
from wallaroo.runtime.calls import Call, Ended
from wallaroo.runtime.engine import RESULTS_MAX
from wallaroo.runtime.stations import Stations
from wallaroo.testing.faults import Chaos
from wallaroo.testing.loop import Process
from wallaroo.topology.plan import Step
from wallaroo.topology.waiting import Runs

Function = Callable[[Any], Any]

SLOW_S = (0.0, 0.001, 0.05, 0.5)
"""The mean time until an answer, which is drawn for each call: most are quick, some are late."""


LOST_WHEN_CANCELLED = 0.5
"""How often an answer does not arrive, if its call was cancelled before."""


class WaitsError(WallarooError):
    """A coroutine waits for something outside, which does not exist here."""


class PlainCalls:
    """Each call ends before ``start`` returns."""

    def start(
        self, step: Step, function: Function, argument: Any, ended: Ended, _: Call, /
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
    """The calls of one simulated worker: their answers arrive in any order, fail, or are late.

    It looks at what a station asks, and notes a problem if that is more than its step allows.
    """

    def __init__(self, process: Process, chaos: Chaos, problems: list[str]) -> None:
        self._process = process
        self._chaos = chaos
        self._problems = problems
        self._asked = AskedCalls()

    def start(
        self, step: Step, function: Function, argument: Any, ended: Ended, call: Call, /
    ) -> Callable[[], object]:
        """Start an attempt. The function is called when its answer arrives."""
        random, now_s = self._process.loop.random, self._process.loop.now_s
        self._problems.extend(self._asked.attempt(step, call, now_s))
        is_lost = self._may_fail(step, call) and self._chaos.take("failed_calls", 0.3)
        is_cancelled = False

        def answer() -> None:
            # A call may be cancelled as its answer is on its way.
            if is_cancelled and random.random() < LOST_WHEN_CANCELLED:
                return
            try:
                result, error = outcome_of(step, function, argument)
            except WaitsError as waits:
                self._problems.append(waits.what)
                return
            if error is None and is_lost:
                # What was asked was done all the same.
                result, error = None, _error_to_retry(step)
            if error is None and not is_cancelled:
                self._asked.answered(call)
            ended(result, error)

        def cancel() -> None:
            nonlocal is_cancelled
            is_cancelled = True

        self._process.call_later(self._duration_s(step, is_lost=is_lost), answer)
        return cancel

    def _may_fail(self, step: Step, call: Call) -> bool:
        """Return whether an answer may be lost, since the step asks again in time."""
        how = step.waiting
        assert how is not None
        pauses_s = how.backoff_s * (2**call.attempts - 1)
        has_time = how.timeout_s is None or pauses_s < how.timeout_s / 4
        return call.attempts <= how.retries and bool(how.retry_on) and has_time

    def _duration_s(self, step: Step, *, is_lost: bool) -> float:
        """Return how long an attempt takes; all of a call are in time, if none is late."""
        how, random = step.waiting, self._process.loop.random
        assert how is not None
        mean_s = random.choice(SLOW_S)
        duration_s = random.expovariate(1 / mean_s) if mean_s else 0.0
        if how.timeout_s is None:
            return duration_s
        if how.on_timeout is not None and self._chaos.take("late_answers", 0.2):
            # An error just before the time-out would be the outcome of the call.
            return how.timeout_s * random.uniform(1.2 if is_lost else 0.9, 1.5)
        return min(duration_s, how.timeout_s / 4 / (how.retries + 1))


class AskedCalls:
    """What the station of a worker has asked, as somebody outside sees it."""

    def __init__(self) -> None:
        self._begun_s: dict[Call, float] = {}
        self._answered: set[Call] = set()

    def attempt(self, step: Step, call: Call, now_s: float) -> Iterator[str]:
        """Note an attempt; yield what is wrong with it."""
        how = step.waiting
        assert how is not None
        begun_s = self._begun_s.setdefault(call, now_s)
        if how.timeout_s is not None and now_s - begun_s > how.timeout_s:
            yield (
                f"step {step.name!r} asked again {now_s - begun_s:.3f} s after its first attempt, "
                f"and its timeout is {how.timeout_s:g} s"
            )
        if call.attempts > how.retries + 1:
            yield f"step {step.name!r} asked {call.attempts} times, with {how.retries} retries"
        if call in self._answered:
            yield f"step {step.name!r} asked again though it had an answer"

    def answered(self, call: Call) -> None:
        """Note that a call has its result."""
        self._answered.add(call)


def _error_to_retry(step: Step) -> BaseException:
    """Return an error after which a step tries again, of the first class that it names."""
    assert step.waiting is not None
    kind = step.waiting.retry_on[0]
    # Its constructor may need arguments that only the client of the service knows.
    return kind.__new__(kind, "the simulation has lost this answer")


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
