"""Hands open connections of senders from a worker that leaves to workers that stay.

    giver:  pauses, finishes what it has read --> offers copies of its connections --> waits
    taker:  stages what is offered
    commit:    takers read on, the giver closes its copies
    call-off:  takers close what is staged, the giver reads on

Each copy goes with the bytes of a frame that was read in part. What the sender sends meanwhile
waits in the kernel, where any copy can read it, since all of them are one connection.

**What can go wrong**

* *Two workers read one connection.* Each would get some bytes of the same frames. So the giver
  reads a connection until the commit and the taker after it, and neither guesses what the other
  does.
* *A worker is lost in between.* The connection stays open as long as any copy is. If the giver is
  lost before the commit, the change is called off, and senders of a lost process connect again.
* *An answer is lost.* The giver cannot know whether the taker has staged its share. So it offers
  everything anew to those that did answer, under the next attempt number. The commit names the one
  attempt that all of its takers have answered, and shares of other attempts are closed.
* *A journal is replayed beside the taker.* With checkpoints on, the giver's journal belongs to its
  successor, which replays it after a loss. If the taker had journaled records of the same
  connection by then, their order would be lost. So takers read on only after the first checkpoint
  behind the commit during which no worker was replaying.
* *No taker answers, or none is on this host.* The giver reads its connections to the end and closes
  them, and senders have to connect again.

**Invariants**

1. At any time at most one worker may read a connection.
2. Of each giver a taker has staged one share at most, that of the last attempt that reached it.
3. Every copy is closed by the one that holds it: when it is offered, dropped, or read to its end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from wallaroo.names import WorkerName
from wallaroo.routing.hashing import hash_text


class Stream(Protocol):
    """A connection as the system has it; open as long as any copy of it is."""

    def dup(self) -> "Stream":
        """Return another copy; raises ``OSError``."""
        ...

    def close(self) -> None:
        """Close this copy."""
        ...

    def fileno(self) -> int:
        """Return the file descriptor of this copy."""
        ...


@dataclass(frozen=True, slots=True)
class ConnectionCopy:
    """A copy of one sender's connection; its holder has to close it."""

    pipeline: int
    partial_frame: bytes
    """The part of a frame that was read already; mostly empty."""
    stream: Stream


@dataclass(frozen=True, slots=True)
class Offer:
    """For which resize a worker offers connections, and in which attempt."""

    resize: int
    giver: WorkerName
    attempt: int
    """Attempts of one giver in one resize are counted from 1."""


class HandOverEvents(Protocol):
    """What a taker is asked."""

    def connections_offered(self, offer: Offer, copies: list[ConnectionCopy]) -> bool:
        """Stage these connections if the offer is expected; return whether they are staged."""
        ...


class HandOver(Protocol):
    """How connections pass from one worker to another one of the same host."""

    @property
    def path(self) -> str:
        """Where this worker accepts connections; empty if it accepts none."""
        ...

    def is_here(self, path: str) -> bool:
        """Return whether a worker of this host accepts connections there."""
        ...

    async def give(self, offer: Offer, shares: Mapping[str, Sequence[ConnectionCopy]]) -> set[str]:
        """Offer each path its share and close the copies; return the paths that staged theirs."""
        ...


def distribute(
    giver: WorkerName, copies: Sequence[ConnectionCopy], paths: Sequence[str]
) -> dict[str, list[ConnectionCopy]]:
    """Return each path's share: as many for one as for another, give or take one."""
    # Givers begin at different paths, so that their odd connections go to different takers.
    first = hash_text(giver)
    shares: dict[str, list[ConnectionCopy]] = {}
    for number, each in enumerate(copies):
        shares.setdefault(paths[(first + number) % len(paths)], []).append(each)
    return shares


class StagedConnections:
    """The connections that were offered to one worker for the resize that is under way."""

    def __init__(self) -> None:
        self._shares: dict[WorkerName, tuple[int, list[ConnectionCopy]]] = {}
        """By giver: the number of its last attempt that arrived here, and the share."""

    def stage(self, offer: Offer, copies: list[ConnectionCopy]) -> None:
        """Keep a share until the resize is committed or called off."""
        if offer.giver in self._shares:
            drop(self._shares[offer.giver][1])
        self._shares[offer.giver] = (offer.attempt, copies)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is staged."""
        return not self._shares

    def take(self, giver: WorkerName, attempt: int) -> list[ConnectionCopy]:
        """Return the share of the attempt that the commit names; empty if it is another one."""
        number, copies = self._shares.get(giver, (0, []))
        if not attempt or number != attempt:
            return []
        del self._shares[giver]
        return copies

    def drop(self) -> None:
        """Close all shares that were not taken."""
        shares, self._shares = self._shares, {}
        for _, copies in shares.values():
            drop(copies)


def collect(copies: Iterable[ConnectionCopy]) -> list[ConnectionCopy]:
    """Make all copies and return them; if one cannot be made, close the others and raise."""
    made: list[ConnectionCopy] = []
    try:
        for each in copies:
            made.append(each)  # noqa: PERF402  those made before an error have to be closed
    except OSError:
        drop(made)
        raise
    return made


def drop(copies: Sequence[ConnectionCopy]) -> None:
    """Close these copies."""
    for each in copies:
        each.stream.close()
