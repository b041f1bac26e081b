"""Finds out that a coroutine of a source or sink blocks the event loop, and ends the process.

While a coroutine blocks, nothing of the worker runs: no timer, no control frame, not even a stop.
So this looks from a thread. An application's step may take a minute, and is not to blame for that.
The frames of the loop's thread tell the difference: authors' methods are called by a few classes of
this package, which say by ``watched`` for whom they call. Looking costs nothing while the loop
turns, and a record is never touched.
"""

import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FrameType

from wallaroo_workers.logs import get_logger

log = get_logger()

STUCK_S = 10.0
"""A worker is replaced if its loop is blocked, or a reader does not return, for so long."""
WATCH_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Watched:
    """The source or sink whose methods an object of ours calls."""

    event: str
    """``source.stuck`` or ``sink.stuck``."""
    label: str
    """``pipeline`` or ``sink``: what ``name`` is the name of."""
    name: str


def watched_source(pipeline: str) -> Watched:
    """Return the source of this pipeline."""
    return Watched("source.stuck", "pipeline", pipeline)


def watched_sink(sink: str) -> Watched:
    """Return the sink of this name."""
    return Watched("sink.stuck", "sink", sink)


class LoopWatch:
    """Looks every second whether the loop turns."""

    def __init__(self, thread_id: int, end_process: Callable[[], object]) -> None:
        """``thread_id`` is that of the thread with the event loop."""
        self._thread_id = thread_id
        self._end_process = end_process
        self._looks_max = round(STUCK_S / WATCH_EVERY_S)
        self._turn_count = 0
        """Only the loop changes it."""
        self._seen_count = 0
        self._blocked_by: Watched | None = None
        self._look_count = 0
        self._ended = threading.Event()

    def start(self) -> None:
        """Look from now on, in a thread."""
        threading.Thread(target=self._run, name="loop watch", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._ended.set()

    def turned(self) -> None:
        """Note that the loop turns; to be called by it several times a second."""
        self._turn_count += 1

    def _run(self) -> None:
        while not self._ended.wait(WATCH_EVERY_S):
            if self.look():
                return

    def look(self) -> bool:
        """Return whether a method of a source or sink has blocked the loop for too long.

        Looks are counted, not seconds: a process that was stopped for a while has looked at nothing
        meanwhile, and its loop did nothing either.
        """
        turn_count = self._turn_count
        has_turned, self._seen_count = turn_count != self._seen_count, turn_count
        frame = None if has_turned else sys._current_frames().get(self._thread_id)
        found = None if frame is None else called_method(frame)
        watched = None if found is None else found[0]
        if watched is None or watched != self._blocked_by:
            self._blocked_by, self._look_count = watched, 0
        if watched is None or found is None or frame is None:
            return False
        self._look_count += 1
        if self._look_count <= self._looks_max:
            return False
        log.error(
            watched.event,
            **{watched.label: watched.name},
            method=found[1].f_code.co_qualname,
            for_s=round(self._look_count * WATCH_EVERY_S),
            stack="".join(traceback.format_stack(frame)),
            hint="a coroutine must not block, because nothing else runs meanwhile; write the "
            "method without async, so that it runs in a thread",
            next="this worker ends, and is started again",
        )
        self._end_process()
        return True


def called_method(innermost: FrameType) -> tuple[Watched, FrameType] | None:
    """Return the author's method in which a thread is, and for whom it was called; or ``None``."""
    watched: Watched | None = None
    for frame in reversed([*_outwards(innermost)]):
        package, _, _ = str(frame.f_globals.get("__name__", "")).partition(".")
        if package == "wallaroo_workers":
            own = getattr(frame.f_locals.get("self"), "watched", None)
            watched = own if isinstance(own, Watched) else watched
        elif package != "wallaroo" and watched is not None:
            return watched, frame
    return None


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back
