"""Simulated senders, which reconnect and continue after the last accepted record."""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from wallaroo.connectors.payload_frames import PayloadFrames
from wallaroo.testing.connection_handover import Line
from wallaroo.testing.disk import Disk
from wallaroo.testing.loop import Loop
from wallaroo.testing.pushed import Broker

PIECE_BYTES_MAX = 80
KERNEL_BYTES_MAX = 300
SEND_EVERY_S = 0.05
TRICKLE_EVERY_S = 0.4
TRICKLED_PIECES = (0, 30)
"""How many of its first pieces a sender sends slowly, so that records flow while much happens."""

CONNECT_AFTER_S = 0.05
HANG_UP_PROBABILITY = 0.02

if TYPE_CHECKING:
    from wallaroo.testing.sources import Listener


class Sender:
    """A sender outside the cluster, which sends its records to any worker, in order.

    If its connection breaks, it continues with the records that were not accepted. A real sender
    cannot know these; this one reads the journals.
    """

    def __init__(
        self, number: int, pipeline: int, frames: PayloadFrames, payloads: Sequence[bytes]
    ) -> None:
        self.number = number
        self.pipeline = pipeline
        self._payloads = payloads
        self.frames = _framed(frames, payloads)
        self.trickled_pieces = 0
        """How many of the next pieces are sent slowly."""

    def payload(self, number: int) -> bytes:
        """Return the payload of its frame with this number."""
        return self._payloads[number]


class Origin(Protocol):
    """A sender or a broker."""

    def payload(self, number: int, /) -> Any:
        """Return one of its records."""
        ...


def _framed(frames: PayloadFrames, payloads: Sequence[bytes]) -> list[bytes]:
    if frames.are_lines:
        return [payload + b"\n" for payload in payloads]
    assert isinstance(frames.payload_length, str)
    pack = struct.Struct(frames.payload_length).pack
    return [pack(len(payload)) + payload for payload in payloads]


def accepted_payloads(disk: Disk, senders: Sequence[Origin]) -> list[list[bytes]]:
    """Return the payloads accepted over each connection of the run."""
    connections: dict[int, list[bytes]] = {}
    for each in disk.accepted:
        payload = senders[each.sender].payload
        connections.setdefault(each.connection, []).extend(map(payload, each.numbers))
    return list(connections.values())


def payloads_sent_again(disk: Disk, senders: Sequence[Origin]) -> frozenset[bytes]:
    """Return the payloads that were accepted and then lost with a disk."""
    return frozenset(senders[sender].payload(number) for sender, number in disk.taken_back)


class SendersHall:
    """All senders, and the workers that listen for them."""

    def __init__(
        self,
        loop: Loop,
        disk: Disk,
        senders: list[Sender],
        brokers: Mapping[int, Broker],
        connections_moved: Callable[[], None],
    ) -> None:
        """``connections_moved`` is called when a worker reads on what another one has read."""
        self._loop = loop
        self._disk = disk
        self._random = loop.random
        self.senders = senders
        self.brokers = brokers
        """By pipeline."""
        self.connections_moved = connections_moved
        self.connection_count = 0
        self._listeners: list[Listener] = []
        self._lines: dict[int, Line] = {}
        """The current connection of each sender, by its number."""

    @property
    def are_done(self) -> bool:
        """Whether every record is accepted."""
        are_sent = all(
            len(self._disk.accepted_of(each.number)) == len(each.frames) for each in self.senders
        )
        return are_sent and all(each.is_done for each in self.brokers.values())

    def begin(self) -> None:
        """Let every sender connect as soon as a worker listens."""
        for broker in self.brokers.values():
            broker.begin()
        for sender in self.senders:
            sender.trickled_pieces = self._random.choice(TRICKLED_PIECES)
            self._connect_later(sender)

    def listen(self, listener: "Listener") -> None:
        """Add a worker that listens for senders."""
        self._listeners.append(listener)

    def _connect_later(self, sender: Sender) -> None:
        delay_s = self._random.random() * CONNECT_AFTER_S
        self._loop.call_later(delay_s, lambda: self._connect(sender))

    def _connect(self, sender: Sender) -> None:
        self._listeners = [each for each in self._listeners if each.is_listening]
        candidates = [each for each in self._listeners if each.pipeline == sender.pipeline]
        accepted = self._disk.accepted_of(sender.number)
        missing = [number for number in range(len(sender.frames)) if number not in accepted]
        if not missing:
            # A crash of the machine may take some of them back.
            self._loop.call_later(1.0, lambda: self._connect(sender))
            return
        if not candidates:
            self._connect_later(sender)
            return
        self.connection_count += 1
        rest = b"".join(sender.frames[number] for number in missing)
        listener = self._random.choice(candidates)
        coming = (sender.number, self.connection_count, missing)
        line = Line(coming, lambda: self._connect_later(sender))
        self._lines[sender.number] = line
        listener.accept(line)
        self._send(sender, line, rest)

    def send_again(self) -> None:
        """Let senders reconnect if records were taken back, to send these again."""
        for sender in self.senders:
            line = self._lines.get(sender.number)
            is_short = len(self._disk.accepted_of(sender.number)) < len(sender.frames)
            if line is not None and line.is_open and is_short:
                self._close_when_done(line)

    def _close_when_done(self, line: Line) -> None:
        """Close a line once all its records are accepted."""
        if not line.coming[2]:
            line.close()
        elif line.is_open:
            self._loop.call_later(SEND_EVERY_S, lambda: self._close_when_done(line))

    def _send(self, sender: Sender, line: Line, rest: bytes) -> None:
        if not line.is_open:
            return
        if not rest:
            # Keep the connection, like a real sender that waits for the next event.
            return
        if not line.has_records and self._random.random() < HANG_UP_PROBABILITY:
            # Records that are not accepted by then are sent again over the next connection.
            line.close()
            return
        count = 0
        if line.kernel_bytes < KERNEL_BYTES_MAX:
            count = self._random.randint(1, PIECE_BYTES_MAX)
            line.arrives(rest[:count])
        is_trickling = sender.trickled_pieces > 0
        sender.trickled_pieces -= is_trickling
        delay_s = self._random.random() * (TRICKLE_EVERY_S if is_trickling else SEND_EVERY_S)
        self._loop.call_later(delay_s, lambda: self._send(sender, line, rest[count:]))
