"""What strangers may hold of a worker by connecting to its sources and saying little.

A connection takes a file of those that the process may have open, which it also needs for links
and checkpoints. A frame is processed once it is whole; until then its begin is kept, which may be
as long as a frame may be. Strangers that begin long frames at many connections and never end them
could fill the memory of the machine.
"""

import os
import resource
from dataclasses import dataclass
from typing import Protocol

UNFINISHED_BYTES_MAX = 256 << 20
FILES_MAX = 1 << 17
"""A system that sets no limit does not mean to be filled with connections."""
DESCRIPTORS_RESERVED_MIN = 6
UNFINISHED_FRAMES_MIN = 16
"""So many frames of the greatest length have room in any case."""


class Holder(Protocol):
    """A connection that waits for the rest of a frame."""

    def give_up(self, reason: str) -> None:
        """Close it; what is unfinished is dropped."""
        ...


class Unfinished:
    """Who holds how many bytes; beyond the limit, who has been silent longest is given up.

    A sender that goes on sending is never the one.
    """

    def __init__(self, frame_bytes_max: int) -> None:
        self._bytes_max = max(UNFINISHED_BYTES_MAX, UNFINISHED_FRAMES_MIN * frame_bytes_max)
        self._byte_counts: dict[Holder, int] = {}
        self._total = 0

    def holds(self, holder: Holder, byte_count: int) -> None:
        """``holder`` has just received something, and holds so many bytes now."""
        self._total += byte_count - self._byte_counts.pop(holder, 0)
        if not byte_count:
            return
        self._byte_counts[holder] = byte_count
        while self._total > self._bytes_max and len(self._byte_counts) > 1:
            silent = next(iter(self._byte_counts))
            self._total -= self._byte_counts.pop(silent)
            silent.give_up(
                f"it was silent longest when all connections together held {self._bytes_max} bytes "
                "of unfinished frames"
            )


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """The limits of one listening source."""

    frame_bytes_max: int
    connections_max: int
    """More senders than that wait in the kernel until others have gone."""
    descriptors_max: int
    """No connection is accepted while so many files are open in this process, whatever they are.

    The rest is for checkpoints, journals, links and sinks.
    """
    unfinished: Unfinished

    def has_free_descriptor(self) -> bool:
        """Return whether another connection may be accepted.

        The system always gives the lowest number that is free, so the next number tells how many
        files are open at least.
        """
        try:
            probe = os.dup(0)
        except OSError:
            return False
        os.close(probe)
        return probe < self.descriptors_max


def intake_limits(frame_bytes_max: int, listener_count: int) -> IntakeLimits:
    """Return the limits for each of so many listeners of this process.

    The process is allowed as many open files as the system lets it have; listeners share half, and
    leave some free even if the limit is so low that other files take most of it.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    share = min(hard, FILES_MAX) // 2 // max(listener_count, 1)
    descriptors_max = hard - max(DESCRIPTORS_RESERVED_MIN, min(hard, FILES_MAX) // 8)
    return IntakeLimits(frame_bytes_max, share, descriptors_max, Unfinished(frame_bytes_max))
