"""Requests for other members, from whoever asks to the coordinator and back, with their times."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from wallaroo.coordinator.events import Answer, Event, ResizeRequested
from wallaroo.errors import ClusterError
from wallaroo.names import WorkerName
from wallaroo.wire.control import Held


class ResizeRequests:
    """Those that are not answered yet; the coordinator takes one at a time."""

    def __init__(
        self,
        happened: Callable[[Event], None],
        is_running: Callable[[], bool],
        left: Callable[[WorkerName], Awaitable[None]],
    ) -> None:
        """``happened`` takes what the coordinator is to hear, ``left`` who is a member no more."""
        self._happened = happened
        self._is_running = is_running
        self._left = left
        self._turn = asyncio.Lock()
        self._ran = asyncio.Event()
        """Set whenever all sources take records again, one is answered, and at the end."""
        self._end_reason = ""
        self._unanswered: dict[int, asyncio.Future[Answer]] = {}
        self._works: set[asyncio.Task[dict[str, Any]]] = set()
        self._count = 0
        self._hold = 0
        """Whose pause this is: the number of the ``Hold``."""
        self._held_s: float | None = None
        """When the sources were held, where they still are."""
        self._through_s = self._moved_s = 0.0
        """When the last barrier was through, and when everything had moved."""
        self._times = {"pause_s": 0.0, "barrier_s": 0.0, "moving_s": 0.0}

    @property
    def is_under_way(self) -> bool:
        """Whether one is not answered yet."""
        return bool(self._unanswered)

    async def make_in_turn(self, added: Sequence[str], leaving: Sequence[str]) -> dict[str, Any]:
        """As ``make``, once the cluster runs and no other request is under way."""
        async with self._turn:
            while (self._unanswered or not self._is_running()) and not self._end_reason:
                self._ran.clear()
                await self._ran.wait()
            if self._end_reason:
                raise ClusterError(self._end_reason)
            return await self.make(added, leaving)

    async def make(self, added: Sequence[str], leaving: Sequence[str]) -> dict[str, Any]:
        """Have these workers join and those leave; return the facts.

        Whoever waits may hang up: it is done to its end all the same. Raises ``ClusterError`` with
        the reason where it cannot be.
        """
        work = asyncio.create_task(self._make(added, leaving))
        self._works.add(work)
        work.add_done_callback(self._worked)
        await asyncio.wait([work])
        return work.result()

    async def _make(self, added: Sequence[str], leaving: Sequence[str]) -> dict[str, Any]:
        self._count += 1
        request_id = self._count
        answered = self._unanswered[request_id] = asyncio.get_running_loop().create_future()
        begun_s = time.monotonic()
        joining, going = (tuple(map(WorkerName, names)) for names in (added, leaving))
        self._happened(ResizeRequested(request_id, joining, going))
        answer = await answered
        if not answer.ok:
            raise ClusterError(answer.text)
        for worker in leaving:
            await self._left(WorkerName(worker))
        return {**answer.facts, **self._times, "took_s": time.monotonic() - begun_s}

    def _worked(self, work: asyncio.Task[dict[str, Any]]) -> None:
        self._works.discard(work)
        if not work.cancelled():
            work.exception()  # looked at: nobody may be waiting for it any more

    def held(self, hold: int) -> None:
        """All workers are told to hold their sources; ``hold`` is which time this is."""
        self._hold = hold
        self._held_s = self._through_s = self._moved_s = time.monotonic()

    def through(self, frame: Held) -> None:
        """The barrier is through one worker, and that has given away what moves."""
        if frame.resize == self._hold:
            self._through_s = max(self._through_s, time.monotonic() - frame.gave_us / 1e6)

    def moved(self) -> None:
        """The barrier is through all workers, and everything has moved."""
        self._moved_s = time.monotonic()

    def running(self) -> None:
        """All sources take records again."""
        self._ran.set()
        if self._held_s is not None:
            self._times = {
                "pause_s": time.monotonic() - self._held_s,
                "barrier_s": self._through_s - self._held_s,
                "moving_s": self._moved_s - self._through_s,
            }
            self._held_s = None

    def answered(self, answer: Answer) -> None:
        """The coordinator says what became of a request."""
        self._unanswered.pop(answer.request_id).set_result(answer)
        self._ran.set()

    def end(self, reason: str) -> None:
        """The run is over; nobody answers any more."""
        self._end_reason = reason
        self._ran.set()
        for request_id in [*self._unanswered]:
            self.answered(Answer(request_id, False, reason, {}))
