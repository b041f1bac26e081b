"""Open connections of senders on their way from a worker that leaves to workers that stay.

Before the barrier of the change the giver accepts and reads no more, has all that it has read
taken, and gives its connections away, with the begin of a frame where one is cut in two. Takers lay
them aside. What the sender sends meanwhile waits in the kernel, which all of them have open.

    done         takers read on, the giver forgets them
    called off   takers forget them, the giver reads on

So nobody reads a connection that another one may read, and whoever is lost in between: either the
giver has it, or the takers have.

Where one taker does not take its share, everything is dealt anew to the others. Whether that one
has its share aside nobody knows, since an answer may be lost: so attempts are numbered, and what is
done is the one attempt that all of its takers have answered.

With checkpoints on, takers read on only once a checkpoint stands that holds all that the giver has
read. Else a crash could have the giver's journal replayed beside the taker's, with the records of
one connection in both.
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
