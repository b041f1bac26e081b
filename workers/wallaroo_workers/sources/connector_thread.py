"""The one thread in which the blocking methods of a connector run.

Clients of databases and brokers often may be used by one thread only, so all blocking methods of
one connector on one worker run here. Between two jobs the thread takes turns at its main work. A
turn may wait in its middle, for room in a queue: then calls are answered, since the lag of a source
is asked for just when it is held up, and other jobs wait for the end of the turn.
"""

import asyncio
import math
import sys
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

Job = Callable[[], None]

CLOSE_S = 10.0
"""For how long a call that is running may delay the end of a connector."""


class ThreadStopped(BaseException):
    """Ends the work of a thread that was told to stop. Not an ``Exception``: users catch those."""


class _Queued(NamedTuple):
    """A job and whether it may run while a turn waits."""

    job: Job
    may_interrupt: bool


class ConnectorThread:
    """Runs jobs in their order, and ``turn`` whenever there are none.

    ``turn`` returns for how many seconds it has nothing to do; ``wake`` calls it sooner. ``on_end``
    is called in the thread at the very end.
    """

    def __init__(
        self,
        name: str,
        loop: asyncio.AbstractEventLoop,
        turn: Callable[[], float] | None = None,
        on_end: Job = lambda: None,
    ) -> None:
        self._loop = loop
        self._ended = loop.create_future()
        self._turn = turn
        self._on_end = on_end
        self._changed = threading.Condition()
        self._jobs: deque[_Queued] = deque()
        self._is_woken = False
        self._is_stopping = False
        self._waits_s: float = math.inf if turn is None else 0.0
        self._busy_since_s: float | None = None
        # A daemon: a native call that never returns must not keep the process alive.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def call(self, function: Callable[[], Any]) -> Any:
        """Return what ``function`` returns in this thread, or raise what it raises."""
        result: asyncio.Future[Any] = self._loop.create_future()

        def run() -> None:
            try:
                outcome, error = function(), None
            except BaseException as raised:  # noqa: BLE001  the author's code may raise anything
                outcome, error = None, raised
            self.on_loop(lambda: _settle(result, outcome, error))

        self._submit(_Queued(run, may_interrupt=True))
        return await result

    async def close(self) -> None:
        """Run the jobs that are there already, then end; wait for that, for a limited time."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        if self._thread.ident is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await asyncio.shield(self._ended)
                    self._thread.join()

    # Called by any thread

    def submit(self, job: Job) -> None:
        """Run ``job`` as soon as the work before it has returned. It must not raise."""
        self._submit(_Queued(job, may_interrupt=False))

    def _submit(self, queued: "_Queued") -> None:
        with self._changed:
            self._jobs.append(queued)
            self._changed.notify()

    def wake(self) -> None:
        """Take a turn now, or look again at what ``wait_until`` waits for."""
        with self._changed:
            self._is_woken = True
            self._changed.notify()

    @property
    def busy_since_s(self) -> float | None:
        """When the present call of the author's code began, by the monotonic clock."""
        return self._busy_since_s

    def stack(self) -> str:
        """Return where the thread is."""
        frame = sys._current_frames().get(self._thread.ident or 0)
        return "" if frame is None else "".join(traceback.format_stack(frame))

    # Called in the thread

    def watched(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call the author's code, and note meanwhile that it runs: it may never return."""
        self._busy_since_s = time.monotonic()
        try:
            return function(*arguments)
        finally:
            self._busy_since_s = None

    def wait_until(self, is_so: Callable[[], bool]) -> None:
        """Wait until ``is_so``, and answer calls meanwhile.

        Raises ``ThreadStopped`` if the thread is to end before that.
        """
        while (call := self._call_before(is_so)) is not None:
            call()

    def _call_before(self, is_so: Callable[[], bool]) -> Job | None:
        """Return the next call; ``None`` once ``is_so``."""
        with self._changed:
            while not is_so():
                if self._is_stopping:
                    raise ThreadStopped
                for index, queued in enumerate(self._jobs):
                    if queued.may_interrupt:
                        del self._jobs[index]
                        return queued.job
                self._changed.wait()
        return None

    def _run(self) -> None:
        try:
            while (work := self._next()) is not None:
                work()
        except ThreadStopped:
            for queued in self._jobs:
                queued.job()
        finally:
            self._on_end()
            self.on_loop(self._note_end)

    def on_loop(self, call: Callable[[], None]) -> None:
        """Call this on the event loop, if that is not closed yet."""
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call)

    def _note_end(self) -> None:
        if not self._ended.done():
            self._ended.set_result(None)

    def _next(self) -> Callable[[], Any] | None:
        with self._changed:
            while True:
                if self._jobs:
                    return self._jobs.popleft().job
                if self._is_stopping:
                    return None
                if self._is_woken or self._waits_s <= 0:
                    self._is_woken = False
                    return self._take_turn
                started_s = time.monotonic()
                self._changed.wait(None if math.isinf(self._waits_s) else self._waits_s)
                self._waits_s -= time.monotonic() - started_s

    def _take_turn(self) -> None:
        self._waits_s = math.inf if self._turn is None else self._turn()


def _settle(result: asyncio.Future[Any], outcome: Any, error: BaseException | None) -> None:
    if result.done():
        return
    if error is None:
        result.set_result(outcome)
    elif isinstance(error, StopIteration):
        # A future refuses it.
        result.set_exception(RuntimeError("the method raised StopIteration"))
    else:
        result.set_exception(error)
