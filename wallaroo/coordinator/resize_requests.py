"""Decides when a request for a resize reaches the coordinator, and measures its pause.

The coordinator accepts one request at a time, and only while the cluster runs; it refuses others. A
client is told at once that its request was refused. A host that joins or leaves waits instead: its
request stays here until the cluster runs and every other request is answered. If it is of a worker
that has left too recently to join again, later requests go first.

The answer contains the times of the last pause: how long no source was read (``pause_s``), how much
of that passed until the barrier was through all workers (``barrier_s``), and how much after that
until all keys had moved (``moving_s``).
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from wallaroo.coordinator.events import Answer, ResizeRequested
from wallaroo.names import WorkerName
from wallaroo.wire.control import Held


@dataclass(frozen=True, slots=True)
class ResizeOutcome:
    """The outcome of a request."""

    answer: Answer
    """Its facts include the times of the pause, if the resize was done."""
    started_s: float
    """When the coordinator got the request."""


class ResizeRequests:
    """The unanswered requests. Times are seconds from any origin."""

    def __init__(self) -> None:
        self._count = 0
        self._at_once: deque[ResizeRequested] = deque()
        self._in_turn: deque[ResizeRequested] = deque()
        self._unanswered: dict[int, float] = {}
        """By request id: when the coordinator got it."""
        self._hold = 0
        """The resize whose pause is measured."""
        self._held_s: float | None = None
        """When the sources were held; ``None`` while they are read."""
        self._through_s = self._moved_s = 0.0
        """When the last barrier was through, and when everything had moved."""
        self._times = {"pause_s": 0.0, "barrier_s": 0.0, "moving_s": 0.0}

    @property
    def is_under_way(self) -> bool:
        """Whether the coordinator has an unanswered request."""
        return bool(self._unanswered)

    def ask(
        self, added: Sequence[WorkerName], leaving: Sequence[WorkerName], *, in_turn: bool
    ) -> int:
        """Add a request; return its id, which its answer will have."""
        self._count += 1
        request = ResizeRequested(self._count, tuple(added), tuple(leaving))
        (self._in_turn if in_turn else self._at_once).append(request)
        return self._count

    def due(
        self,
        now_s: float,
        *,
        is_running: bool,
        may_come: Callable[[Sequence[WorkerName]], bool],
    ) -> ResizeRequested | None:
        """Return the request that the coordinator should get now, if any.

        ``may_come`` says whether workers that left may join again; a request in turn waits for it.
        """
        request: ResizeRequested | None = None
        if self._at_once:
            request = self._at_once.popleft()
        elif self._in_turn and is_running and not self._unanswered:
            # Others do not wait behind a worker that cannot come back yet.
            request = next((each for each in self._in_turn if may_come(each.added)), None)
            if request is not None:
                self._in_turn.remove(request)
        if request is not None:
            self._unanswered[request.request_id] = now_s
        return request

    def answered(self, answer: Answer) -> ResizeOutcome:
        """Return the outcome of a request that the coordinator has answered."""
        started_s = self._unanswered.pop(answer.request_id)
        if answer.ok:
            answer = replace(answer, facts={**answer.facts, **self._times})
        return ResizeOutcome(answer, started_s)

    def end(self, reason: str, now_s: float) -> list[ResizeOutcome]:
        """Refuse all requests that are left: the run is over."""
        waiting = [each.request_id for each in (*self._at_once, *self._in_turn)]
        left = {**self._unanswered, **dict.fromkeys(waiting, now_s)}
        for each in (self._at_once, self._in_turn, self._unanswered):
            each.clear()
        return [
            ResizeOutcome(Answer(request_id, False, reason, {}), started_s)
            for request_id, started_s in left.items()
        ]

    # The pause

    def held(self, resize: int, now_s: float) -> None:
        """Note that all workers were ordered to hold their sources for this resize."""
        self._hold = resize
        self._held_s = self._through_s = self._moved_s = now_s

    def through(self, frame: Held, now_s: float) -> None:
        """Note that the barrier is through a worker, which has sent the keys that leave it."""
        if frame.resize == self._hold:
            self._through_s = max(self._through_s, now_s - frame.gave_us / 1e6)

    def moved(self, now_s: float) -> None:
        """Note that the barrier is through all workers, and all keys have moved."""
        self._moved_s = now_s

    def running(self, now_s: float) -> None:
        """Note that all sources are read again."""
        if self._held_s is not None:
            self._times = {
                "pause_s": now_s - self._held_s,
                "barrier_s": self._through_s - self._held_s,
                "moving_s": self._moved_s - self._through_s,
            }
            self._held_s = None
