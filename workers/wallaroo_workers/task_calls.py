"""Makes the calls for records that wait at a step: as tasks of the event loop, or in a thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from wallaroo.names import StepId
from wallaroo.runtime.calls import Call, Ended
from wallaroo.topology.plan import Step
from wallaroo.topology.waiting import Runs
from wallaroo_workers.logs import get_logger

log = get_logger()

Function = Callable[[Any], Any]
CLOSE_S = 2.0
"""How long calls may take to end after they are cancelled at the end of the worker."""
_abandoned: set[asyncio.Task[None]] = set()
"""Python complains about a task that is deleted before it has ended."""


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
        self._tasks: set[asyncio.Task[None]] = set()
        """The event loop itself does not keep tasks."""
        self._is_closed = False

    def start(
        self, step: Step, function: Function, argument: Any, ended: Ended, _: Call, /
    ) -> Callable[[], object]:
        """Start a call; return what cancels it. A call in a thread goes on, but is not reported."""
        assert step.waiting is not None
        if step.waiting.runs is Runs.IN_THREAD:
            return self._start_in_thread(step, function, argument, ended)
        task = asyncio.get_running_loop().create_task(
            self._call(function, argument, ended), name=step.name
        )
        self._tasks.add(task)
        return partial(self._cancel, task)

    def _cancel(self, task: asyncio.Task[None]) -> None:
        task.cancel()
        # A task that is cancelled before its first step does not get to its own end.
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Cancel all calls, and report no more of them: their records have had no outcome.

        A call that goes on nevertheless is abandoned, so that it does not keep the event loop from
        closing.
        """
        self._is_closed = True
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=CLOSE_S)
        finally:
            for task in tasks:
                if not task.done():
                    _abandon(task)

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
            if not done.cancelled() and not self._is_closed:
                ended(*done.result())

        future.add_done_callback(report)
        return future.cancel

    async def _call(self, function: Function, argument: Any, ended: Ended) -> None:
        result, failure = None, None
        try:
            result = await function(argument)
        except GeneratorExit:
            raise  # the event loop is closed
        except BaseException as error:  # noqa: BLE001  whatever user code raises is a failure
            failure = error
        task = asyncio.current_task()
        assert task is not None
        self._tasks.discard(task)
        # At the end of the worker, what a call makes of being cancelled is nobody's outcome.
        if not self._is_closed:
            ended(result, failure)


def _abandon(task: asyncio.Task[None]) -> None:
    """Let the event loop close without this task, which does not end when it is cancelled."""
    log.warning(
        "call.abandoned",
        call=f"step {task.get_name()}",
        hint="let the function end at asyncio.CancelledError: catch Exception, not BaseException",
        next="this worker ends without waiting for it",
    )
    _abandoned.add(task)
    asyncio._unregister_task(task)


def _outcome(function: Function, argument: Any) -> tuple[Any, BaseException | None]:
    try:
        return function(argument), None
    except BaseException as error:  # noqa: BLE001  whatever user code raises is a failure
        return None, error
