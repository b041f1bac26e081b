"""Decides when a request for other members reaches the coordinator, and measures its pause.

The coordinator takes one request at a time, and only while the cluster runs; it refuses any other.
A client wants to know at once that it was refused. A host that joins or leaves wants its turn: its
request waits here until the cluster runs and no other one is unanswered.

The times of the last pause go with the answer: how long no source was read (``pause_s``), how much
of it passed until the barrier was through all workers (``barrier_s``), and how much until
everything had moved after that (``moving_s``).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from wallaroo.coordinator.events import Answer, ResizeRequested
from wallaroo.names import WorkerName
from wallaroo.wire.control import Held


@dataclass(frozen=True, slots=True)
class ResizeOutcome:
    """What became of a request."""

    answer: Answer
    """With the times of the pause among its facts, if it was done."""
    started_s: float
    """When the coordinator got the request."""


class ResizeRequests:
    """The requests that are not answered yet. Times are seconds from any origin."""

    def __init__(self) -> None:
        self._count = 0
        self._at_once: deque[ResizeRequested] = deque()
        self._in_turn: deque[ResizeRequested] = deque()
        self._unanswered: dict[int, float] = {}
        """When the coordinator got each, by its id."""
        self._hold = 0
        """The resize whose pause is measured."""
        self._held_s: float | None = None
        """When the sources were held; ``None`` while they are read."""
        self._through_s = self._moved_s = 0.0
        """When the last barrier was through, and when everything had moved."""
        self._times = {"pause_s": 0.0, "barrier_s": 0.0, "moving_s": 0.0}

    @property
    def is_under_way(self) -> bool:
        """Whether the coordinator has one that it has not answered."""
        return bool(self._unanswered)

    def ask(
        self, added: Sequence[WorkerName], leaving: Sequence[WorkerName], *, in_turn: bool
    ) -> int:
        """Take a request; return its id, by which it will be answered."""
        self._count += 1
        request = ResizeRequested(self._count, tuple(added), tuple(leaving))
        (self._in_turn if in_turn else self._at_once).append(request)
        return self._count

    def due(self, now_s: float, *, is_running: bool) -> ResizeRequested | None:
        """Return the next request that the coordinator is to get now, if there is one."""
        request: ResizeRequested | None = None
        if self._at_once:
            request = self._at_once.popleft()
        elif self._in_turn and is_running and not self._unanswered:
            request = self._in_turn.popleft()
        if request is not None:
            self._unanswered[request.request_id] = now_s
        return request

    def answered(self, answer: Answer) -> ResizeOutcome:
        """The coordinator has answered a request."""
        started_s = self._unanswered.pop(answer.request_id)
        if answer.ok:
            answer = replace(answer, facts={**answer.facts, **self._times})
        return ResizeOutcome(answer, started_s)

    def end(self, reason: str, now_s: float) -> list[ResizeOutcome]:
        """The run is over: refuse all that are left."""
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
        """All workers were told to hold their sources, for this resize."""
        self._hold = resize
        self._held_s = self._through_s = self._moved_s = now_s

    def through(self, frame: Held, now_s: float) -> None:
        """The barrier is through one worker, which has sent what moves away from it."""
        if frame.resize == self._hold:
            self._through_s = max(self._through_s, now_s - frame.gave_us / 1e6)

    def moved(self, now_s: float) -> None:
        """The barrier is through all workers, and everything has moved."""
        self._moved_s = now_s

    def running(self, now_s: float) -> None:
        """All sources are read again."""
        if self._held_s is not None:
            self._times = {
                "pause_s": now_s - self._held_s,
                "barrier_s": self._through_s - self._held_s,
                "moving_s": self._moved_s - self._through_s,
            }
            self._held_s = None
