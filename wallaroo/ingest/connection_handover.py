"""Open connections of senders on their way from a worker that leaves to workers that stay.

    giver:  pauses, finishes what it has read --> offers copies of its connections --> waits
    taker:  stages what is offered
    commit:    takers read on, the giver forgets them
    call-off:  takers close what is staged, the giver reads on

A copy goes with the bytes of a frame that is not read to its end. What the sender sends meanwhile
waits in the kernel, and no copy needs to be told of it: all of them are the same connection.

**What can go wrong**

* *Two workers read one connection.* Each would get some bytes of the same frames. So a connection
  is read by its giver until the commit and by its taker after it, and neither guesses about the
  other.
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
        """Give up this copy."""
        ...

    def fileno(self) -> int:
        """Return the system's number of this copy."""
        ...


@dataclass(frozen=True, slots=True)
class Handed:
    """One sender's connection."""

    pipeline: int
    begin: bytes
    """Of a frame whose rest is not read yet; mostly empty."""
    stream: Stream
    """A copy that whoever has this value closes."""


@dataclass(frozen=True, slots=True)
class Offer:
    """What connections are given for."""

    resize: int
    giver: WorkerName
    attempt: int
    """Of this giver for this resize, from 1 on."""


class HandOverEvents(Protocol):
    """What is reported to a worker that connections are offered to."""

    def connections_offered(self, offer: Offer, handed: list[Handed]) -> bool:
        """Stage these connections if the offer is expected; return whether they are staged."""
        ...


class HandOver(Protocol):
    """How connections pass from one worker to another one of the same host."""

    @property
    def path(self) -> str:
        """Where this worker accepts some; empty for nowhere."""
        ...

    def is_here(self, path: str) -> bool:
        """Whether a worker takes connections there, on this host."""
        ...

    async def give(self, offer: Offer, shares: Mapping[str, Sequence[Handed]]) -> set[str]:
        """Offer each path its share, and close them; return where they certainly lie aside."""
        ...


def distribute(
    giver: WorkerName, handed: Sequence[Handed], paths: Sequence[str]
) -> dict[str, list[Handed]]:
    """Return each path's share, as many for each as can be; several givers begin at others."""
    first = hash_text(giver)
    shares: dict[str, list[Handed]] = {}
    for number, each in enumerate(handed):
        shares.setdefault(paths[(first + number) % len(paths)], []).append(each)
    return shares


class StagedConnections:
    """What was offered to one worker for a change that is under way."""

    def __init__(self) -> None:
        self._shares: dict[WorkerName, tuple[int, list[Handed]]] = {}
        """By giver: the number of its last attempt that came here, and the share."""

    def stage(self, offer: Offer, handed: list[Handed]) -> None:
        """Keep what is given, until it is known what becomes of the change."""
        if offer.giver in self._shares:
            drop(self._shares[offer.giver][1])
        self._shares[offer.giver] = (offer.attempt, handed)

    @property
    def is_empty(self) -> bool:
        """Whether nothing is staged."""
        return not self._shares

    def take(self, giver: WorkerName, attempt: int) -> list[Handed]:
        """The change is done, and ``giver`` has given up what it gave at that attempt."""
        number, handed = self._shares.get(giver, (0, []))
        if not attempt or number != attempt:
            return []
        del self._shares[giver]
        return handed

    def drop(self) -> None:
        """What is left was given in vain."""
        shares, self._shares = self._shares, {}
        for _, handed in shares.values():
            drop(handed)


def collect(copies: Iterable[Handed]) -> list[Handed]:
    """Return all of them; where the next cannot be made, give up the others and raise."""
    handed: list[Handed] = []
    try:
        for each in copies:
            handed.append(each)  # noqa: PERF402  what is there already counts
    except OSError:
        drop(handed)
        raise
    return handed


def drop(handed: Sequence[Handed]) -> None:
    """Give up these copies."""
    for each in handed:
        each.stream.close()
