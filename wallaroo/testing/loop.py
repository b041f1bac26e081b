"""A virtual clock with a queue of events, and coroutines that run on it.

Nothing here uses the real time. Of two events at the same moment, the one that was scheduled first
runs first, so a run depends only on its random numbers.
"""

import heapq
import zlib
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from random import Random
from typing import Any, Protocol

from wallaroo.testing.waiting import Flag, Waiting

Run = Callable[[], object]


WALL_CLOCK_NS = 1_700_000_000_000_000_000
"""The time at which simulations begin."""


class CrashedError(BaseException):
    """Ends the process in which it is raised, in the middle of what it does.

    It is not an ``Exception``, because no code of that process may handle it.
    """


class Loop:
    """The events of one simulation."""

    def __init__(self, random: Random, story_steps: int) -> None:
        self.random = random
        self.now_s = 0.0
        self.step_count = 0
        self.story: deque[str] = deque(maxlen=story_steps)
        """The last lines of the run."""
        self.fingerprint = 0
        """A hash of all events and lines so far: two runs with the same hash are the same run."""
        self._queue: list[tuple[float, int, Process | None, Run]] = []
        self._count = 0
        self._coroutines: list[Coroutine[Any, Any, Any]] = []

    def wall_ns(self) -> int:
        """Return the time in Unix nanoseconds, the same for all workers."""
        return WALL_CLOCK_NS + round(self.now_s * 1e9)

    def call_later(self, delay_s: float, run: Run, process: "Process | None" = None) -> None:
        """Call ``run`` after a delay, unless its ``process`` has ended by then."""
        self._count += 1
        heapq.heappush(self._queue, (self.now_s + delay_s, self._count, process, run))

    def tell(self, who: str, what: str) -> None:
        """Add a line to the story."""
        self.fingerprint = zlib.crc32(what.encode(), self.fingerprint)
        self.story.append(f"{self.now_s:9.4f} {who:<12} {what}")

    def run(self, is_over: Callable[[], bool], steps_max: int) -> bool:
        """Run events until ``is_over()``; return whether that was within ``steps_max`` steps."""
        while not is_over():
            if not self._queue or self.step_count >= steps_max:
                return False
            self.step_count += 1
            self.now_s, number, process, run = heapq.heappop(self._queue)
            self.fingerprint = (self.fingerprint * 31 + number) & 0xFFFFFFFF
            if process is None:
                run()
            else:
                process.run(run)
        return True

    def adopt(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Remember a coroutine, so that ``close`` ends it."""
        self._coroutines.append(coroutine)

    def close(self) -> None:
        """End the coroutines of crashed processes; they have no effect any more."""
        for coroutine in self._coroutines:
            while True:
                try:
                    coroutine.close()
                    break
                except (RuntimeError, CrashedError):
                    continue  # it waits once more in a ``finally``
        self._coroutines.clear()


class Crashes(Protocol):
    """Decides where a process crashes."""

    def reached(self, process: "Process", place: str) -> bool:
        """Return whether the process ends at this place of its program."""
        ...


class Process:
    """A process that can end at any step; what it has scheduled is then not done."""

    def __init__(self, loop: Loop, name: str, crashes: Crashes) -> None:
        self.loop = loop
        self.name = name
        self.is_alive = True
        self.on_end: list[Callable[[], None]] = []
        self._crashes = crashes

    def run(self, run: Run, place: str = "step") -> None:
        """Run something within this process."""
        if not self.is_alive:
            return
        try:
            self.at(place)
            run()
        except CrashedError:
            self.end("crashed")

    def at(self, place: str) -> None:
        """Note that the program has reached this place, and perhaps end it here."""
        if not self.is_alive or self._crashes.reached(self, place):
            raise CrashedError(place)

    def end(self, how: str) -> None:
        """End the process."""
        if self.is_alive:
            self.is_alive = False
            self.loop.tell(self.name, how)
            for call in self.on_end:
                call()

    def call_later(self, delay_s: float, run: Run) -> None:
        """Call ``run`` in this process after a delay."""
        self.loop.call_later(delay_s, run, self)

    def start(self, work: Coroutine[Any, Any, None]) -> "Task":
        """Run a coroutine in this process."""
        return Task(self, work)

    async def pause(self, delay_s: float) -> None:
        """Wait for this many seconds; 0 lets other tasks run."""
        waiting = Waiting()
        self.call_later(delay_s, waiting.finish)
        await waiting

    async def all_of(self, works: Iterable[Coroutine[Any, Any, None]]) -> None:
        """Run all of these at the same time; return when the last one has ended."""
        for task in [self.start(work) for work in works]:
            await task.ended.wait()


class Task:
    """A coroutine of one process; each of its steps is an event."""

    def __init__(self, process: Process, work: Coroutine[Any, Any, None]) -> None:
        self._process = process
        self._work = work
        self.place = getattr(work, "__qualname__", "task")
        self.is_cancelled = False
        self.ended = Flag()
        process.loop.adopt(work)
        process.call_later(0.0, self._go_on)

    def cancel(self) -> None:
        """Run no more steps."""
        self.is_cancelled = True

    def _go_on(self) -> None:
        if self.is_cancelled:
            return
        self._process.at(self.place)
        try:
            waiting: Waiting = self._work.send(None)
        except StopIteration:
            self.ended.set()
            return
        waiting.resumes(self._wake)

    def _wake(self) -> None:
        self._process.call_later(0.0, self._go_on)
