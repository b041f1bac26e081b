"""Limits on what senders can make a worker hold: open files and incomplete frames.

Each connection needs a file descriptor, and the process also needs some for links and checkpoints.
A frame is processed once it is complete; until then its first part is kept in memory, up to the
maximum length of a frame. Without a limit, clients that start long frames on many connections and
never finish them could fill the memory of the machine.
"""

import os
from dataclasses import dataclass
from typing import Protocol

from wallaroo_workers.open_files import raise_open_files_limit

PARTIAL_BYTES_MAX = 256 << 20
FILES_MAX = 1 << 17
"""The limit that is used if the system sets none, or a higher one."""
DESCRIPTORS_RESERVED_MIN = 6
PARTIAL_FRAMES_MIN = 16
"""At least this many frames of the maximum length always have room."""


class Holder(Protocol):
    """A connection that waits for the rest of a frame."""

    def give_up(self, reason: str) -> None:
        """Close the connection and drop its incomplete frame."""
        ...


class PartialFrames:
    """Counts the bytes of incomplete frames that each connection holds.

    Beyond the limit the connection that has been silent for longest is closed. That is never a
    sender that is still sending.
    """

    def __init__(self, frame_bytes_max: int) -> None:
        self._bytes_max = max(PARTIAL_BYTES_MAX, PARTIAL_FRAMES_MIN * frame_bytes_max)
        self._byte_counts: dict[Holder, int] = {}
        self._total = 0

    def update(self, holder: Holder, byte_count: int) -> None:
        """Note that ``holder`` has just received data and now holds ``byte_count`` bytes."""
        self._total += byte_count - self._byte_counts.pop(holder, 0)
        if not byte_count:
            return
        self._byte_counts[holder] = byte_count
        while self._total > self._bytes_max and len(self._byte_counts) > 1:
            silent = next(iter(self._byte_counts))
            self._total -= self._byte_counts.pop(silent)
            silent.give_up(
                f"it was silent for longest when all connections held {self._bytes_max} bytes "
                "of incomplete frames"
            )


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """The limits of one listening source."""

    frame_bytes_max: int
    connections_max: int
    """Further senders wait in the kernel until others have disconnected."""
    descriptors_max: int
    """No connection is accepted while this process has so many files of any kind open.

    The rest is reserved for checkpoints, journals, links and sinks.
    """
    partial_frames: PartialFrames

    def has_free_descriptor(self) -> bool:
        """Return whether another connection may be accepted.

        The system always assigns the lowest free number, so the next number is a lower bound for
        the number of open files.
        """
        try:
            probe = os.dup(0)
        except OSError:
            return False
        os.close(probe)
        return probe < self.descriptors_max


def intake_limits(frame_bytes_max: int, listener_count: int) -> IntakeLimits:
    """Return the limits for each of ``listener_count`` listeners of this process.

    The soft limit of open files is raised to the hard one. Listeners share half of it, and leave
    some files free even if the limit is so low that other files use most of it.
    """
    hard = raise_open_files_limit()
    share = min(hard, FILES_MAX) // 2 // max(listener_count, 1)
    descriptors_max = hard - max(DESCRIPTORS_RESERVED_MIN, min(hard, FILES_MAX) // 8)
    return IntakeLimits(frame_bytes_max, share, descriptors_max, PartialFrames(frame_bytes_max))
