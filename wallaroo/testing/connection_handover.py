"""Simulated connections of senders that can change their worker."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

from wallaroo.ingest.connection_handover import ConnectionCopy, HandOverEvents, Offer, drop
from wallaroo.testing.faults import Chaos
from wallaroo.testing.loop import Process

DELAY_S = 0.02
TIME_MAX_S = 0.5
LOOK_S = 0.01
FAILURE_PROBABILITY = 0.5


class Reader(Protocol):
    """The worker that reads a line."""

    @property
    def has_records(self) -> bool:
        """Whether it has read records that are not accepted yet."""
        ...

    def may_read(self) -> None:
        """Note that data has arrived."""
        ...


class Line:
    """One sender's connection in the kernel: it is open as long as any copy of it is."""

    def __init__(self, coming: tuple[int, int, list[int]], on_closed: Callable[[], None]) -> None:
        self.coming = coming
        """The sender, the number of the connection, and the records still to arrive."""
        self.kernel: list[bytes] = []
        """Data that is sent and not read; it is lost if the connection closes."""
        self.is_open = True
        self._reader: Reader | None = None
        self._on_closed = on_closed
        self._copy_count = 0

    @property
    def kernel_bytes(self) -> int:
        """Number of bytes that are sent and not read."""
        return sum(map(len, self.kernel))

    @property
    def has_records(self) -> bool:
        """Whether its reader has records that are not accepted yet."""
        return self._reader is not None and self._reader.has_records

    def read_by(self, reader: Reader) -> None:
        """Let this worker read the connection from now on."""
        self._reader = reader

    def arrives(self, data: bytes) -> None:
        """Add data from the sender."""
        self.kernel.append(data)
        if self._reader is not None:
            self._reader.may_read()

    def close(self) -> None:
        """Close the connection: the sender closed it, or no worker has a copy any more."""
        if self.is_open:
            self.is_open = False
            self.kernel.clear()
            self._on_closed()

    def add_copy(self) -> None:
        """Count one copy more."""
        self._copy_count += 1

    def drop_copy(self) -> None:
        """Count one copy less; the last one closes the connection."""
        self._copy_count -= 1
        if not self._copy_count:
            self.close()


class Copy:
    """A worker's copy of a line; it is closed when its process ends."""

    def __init__(self, line: Line, process: Process) -> None:
        self.line = line
        self._process = process
        self._is_open = True
        line.add_copy()
        process.on_end.append(self.close)

    def dup(self) -> "Copy":
        """Return another copy for the same worker."""
        return Copy(self.line, self._process)

    def close(self) -> None:
        """Close this copy."""
        if self._is_open:
            self._is_open = False
            self.line.drop_copy()

    def fileno(self) -> int:
        """Return the number of the connection, which nothing here needs."""
        return self.line.coming[1]


class SimulatedHandOver:
    """Hands connections of one simulated worker over to others; some refuse them."""

    def __init__(
        self,
        process: Process,
        chaos: Chaos,
        takers: dict[str, "SimulatedHandOver"],
        events: HandOverEvents,
    ) -> None:
        self.path = process.name
        self._events = events
        self._process = process
        self._chaos = chaos
        self._takers = takers
        takers[self.path] = self

    def is_here(self, path: str) -> bool:
        """Return whether a worker accepts connections at this path."""
        return path in self._takers and self._takers[path]._process.is_alive

    async def give(self, offer: Offer, shares: Mapping[str, Sequence[ConnectionCopy]]) -> set[str]:
        """Offer each path its share, and close them; return the paths that have accepted it."""
        answers: dict[str, bool] = {}
        for path, share in shares.items():
            self._offer(self._takers[path], offer, share, partial(answers.__setitem__, path))
        loop = self._process.loop
        until_s = loop.now_s + TIME_MAX_S * loop.random.random()
        while len(answers) < len(shares) and loop.now_s < until_s:
            await self._process.pause(LOOK_S)
        for share in shares.values():
            drop(share)
        return {path for path, is_aside in answers.items() if is_aside}

    def _offer(
        self,
        taker: "SimulatedHandOver",
        offer: Offer,
        share: Sequence[ConnectionCopy],
        answer: Callable[[bool], None],
    ) -> None:
        loop = self._process.loop
        there = taker._process
        fails = self._chaos.take("failed_hand_overs", FAILURE_PROBABILITY)
        is_answer_lost = fails and loop.random.random() < 0.5
        if not there.is_alive or (fails and not is_answer_lost):
            answer(False)
            return
        # The copies are made now, and exist while they are under way.
        offered = [
            ConnectionCopy(each.pipeline, each.partial_frame, _copy(each, there)) for each in share
        ]

        def arrive() -> None:
            is_aside = taker._events.connections_offered(offer, offered)
            if not is_aside:
                drop(offered)
            if not is_answer_lost:
                self._process.call_later(loop.random.random() * DELAY_S, lambda: answer(is_aside))

        there.call_later(loop.random.random() * DELAY_S, arrive)


def _copy(copy: ConnectionCopy, process: Process) -> Copy:
    assert isinstance(copy.stream, Copy)
    return Copy(copy.stream.line, process)
