"""Makes the calls for records that wait at a step: as tasks of the event loop, or in a thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from wallaroo.names import StepId
from wallaroo.runtime.calls import Ended
from wallaroo.topology.plan import Step
from wallaroo.topology.waiting import Runs

Function = Callable[[Any], Any]


class RunningLoop:
    """The event loop that runs when it is asked."""

    def call_soon(self, turn: Callable[[], None]) -> object:
        """Call ``turn`` in the next iteration of the loop."""
        return asyncio.get_running_loop().call_soon(turn)

    def call_later(self, delay_s: float, run: Callable[[], object]) -> object:
        """Call ``run`` after a delay."""
        return asyncio.get_running_loop().call_later(delay_s, run)


class TaskCalls:
    """The calls of one worker; it is used on the event loop alone."""

    def __init__(self) -> None:
        self._threads: dict[StepId, ThreadPoolExecutor] = {}
        self._cancelled: set[asyncio.Task[None]] = set()

    def start(
        self, step: Step, function: Function, argument: Any, ended: Ended
    ) -> Callable[[], object]:
        """Start a call; return what cancels it. A call in a thread goes on, but is not reported."""
        assert step.waiting is not None
        if step.waiting.runs is Runs.IN_THREAD:
            return self._start_in_thread(step, function, argument, ended)
        task = asyncio.get_running_loop().create_task(_call(function, argument, ended))
        return lambda: self._cancel(task)

    def _cancel(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        # The event loop itself does not keep tasks, and this one may take its time to end.
        self._cancelled.add(task)
        task.add_done_callback(self._cancelled.discard)

    def _start_in_thread(
        self, step: Step, function: Function, argument: Any, ended: Ended
    ) -> Callable[[], object]:
        threads = self._threads.get(step.id)
        if threads is None:
            name = f"step {step.name}"
            threads = self._threads[step.id] = ThreadPoolExecutor(1, thread_name_prefix=name)
        loop = asyncio.get_running_loop()
        future = loop.run_in_executor(threads, _outcome, function, argument)

        def report(done: asyncio.Future[tuple[Any, BaseException | None]]) -> None:
            if not done.cancelled():
                ended(*done.result())

        future.add_done_callback(report)
        return future.cancel


async def _call(function: Function, argument: Any, ended: Ended) -> None:
    try:
        result = await function(argument)
    except GeneratorExit:
        raise  # the event loop is closed
    except BaseException as error:  # noqa: BLE001  whatever user code raises is a failure
        ended(None, error)
    else:
        ended(result, None)


def _outcome(function: Function, argument: Any) -> tuple[Any, BaseException | None]:
    try:
        return function(argument), None
    except BaseException as error:  # noqa: BLE001  whatever user code raises is a failure
        return None, error
