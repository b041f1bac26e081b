"""The sending ends of the links to all other workers, above the connections that carry them.

A connection may break and be replaced; a link lasts as long as its epoch. The driver dials, cuts
the stream into frames and calls ``received`` with them; frames to send go to ``Connection``.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

from wallaroo.checkpoint.store import Pause
from wallaroo.errors import ProtocolError
from wallaroo.links.back_pressure import Pressure
from wallaroo.links.dial_pauses import DialPauses
from wallaroo.names import CheckpointId, EdgeId, Epoch, WorkerName
from wallaroo.operators.dataflow import OutgoingBatch
from wallaroo.runtime.waiting import Flag
from wallaroo.wire.data_frames import (
    Ack,
    LinkHello,
    LinkWelcome,
    decode_data_frame,
)
from wallaroo.wire.data_frames import Pressure as PressureFrame
from wallaroo.wire.data_link import LinkSender


class Connection(Protocol):
    """Carries bytes to another worker and back."""

    def write(self, data: bytes) -> None:
        """Send encoded frames; do nothing if the connection has ended."""
        ...

    def abort(self, reason: str) -> None:
        """Break the connection."""
        ...


class OutgoingLink:
    """Batches and barriers for one worker, over one connection after the other."""

    def __init__(
        self,
        hello: LinkHello,
        address: str,
        pressure: Pressure,
        new_flag: Callable[[], Flag],
        on_progress: Callable[[], None],
    ) -> None:
        """``on_progress`` is called when the backlog shrank or the pressure changed."""
        self.hello = hello
        self.address = address
        self._pressure = pressure
        self._sender = LinkSender()
        self._connection: Connection | None = None
        self.connected = new_flag()
        self._lost = new_flag()
        self.sent_bytes = 0
        """Bytes of batches; what is sent again counts again."""
        self.connection_count = 0
        """How many connections there were, one after the other."""
        self._is_ending = False
        self._is_closed = False
        self._on_progress = on_progress

    @property
    def receiver(self) -> WorkerName:
        """The worker at the other end."""
        return self.hello.receiver

    @property
    def backlog_bytes(self) -> int:
        """How many bytes the other worker has not processed."""
        return self._sender.unacknowledged_bytes

    def send_batch(self, batch: OutgoingBatch) -> None:
        """Send a batch, now or when the link is connected again."""
        data = self._sender.send_batch(
            batch.edge, batch.form, batch.record_count, batch.body, batch.delivered_ns
        )
        self.sent_bytes += len(data)
        self._write(data)

    def send_barrier(self, epoch: Epoch, checkpoint: CheckpointId, edge: EdgeId) -> None:
        """Send a barrier behind all batches."""
        self._write(self._sender.send_barrier(epoch, checkpoint, edge))

    def send_clock(self, edge: EdgeId, time: int, status: int) -> None:
        """Send a watermark behind all batches."""
        self._write(self._sender.send_clock(edge, time, status))

    def send_states(self, resize: int, state: int, body: bytes) -> None:
        """Send states that the other worker will own."""
        self._write(self._sender.send_states(resize, state, body))

    def send_moved_all(
        self, resize: int, key_count: int, clocks: Mapping[str, tuple[int, int]]
    ) -> None:
        """Report that all states are sent."""
        self._write(self._sender.send_moved_all(resize, key_count, clocks))

    def _write(self, data: bytes) -> None:
        if data:
            assert self._connection is not None
            self._connection.write(data)

    def retarget(self, incarnation: Epoch, address: str) -> None:
        """Go on with the successor of a lost worker, which gets what that had not processed."""
        if incarnation == self.hello.receiver_incarnation:
            return
        self.hello = LinkHello(
            self.hello.sender, self.hello.sender_incarnation, self.hello.receiver, incarnation
        )
        self.address = address
        self._sender.receiver_restarted()
        self.connected.clear()
        if self._connection is not None:
            self._connection.abort("the worker was restarted")

    @property
    def is_ending(self) -> bool:
        """Whether the link may break without that being a loss."""
        return self._is_ending

    def end(self) -> None:
        """Expect the link to break, since processes of a stopping cluster end one by one."""
        self._is_ending = True

    def close(self) -> None:
        """Close the connection, for good."""
        self._is_closed = self._is_ending = True
        if self._connection is not None:
            self._connection.abort("the epoch is over")

    # For the driver

    async def keep_connected(
        self, dial: Callable[[], Awaitable[None]], pause: Pause, pauses: DialPauses
    ) -> None:
        """Dial, and dial again whenever the connection is lost, until the link is closed.

        ``dial`` raises ``OSError`` or ``TimeoutError`` if it cannot connect. If it could,
        ``disconnected`` is called later.
        """
        while True:
            if pause_s := pauses.next_s():
                await pause(pause_s)
            if self._is_closed:
                return
            self._lost.clear()
            try:
                await dial()
            except (OSError, TimeoutError):
                pass  # the worker is being started again, or the initializer has noticed its loss
            else:
                await self._lost.wait()
            if self.connected.is_set():
                pauses.connected()
                self.connected.clear()

    def received(self, connection: Connection, hello: LinkHello, data: bytes) -> None:
        """Handle a frame of the ``connection`` that began with ``hello``."""
        match decode_data_frame(data):
            case LinkWelcome(processed_sequence, is_under_pressure):
                if hello != self.hello or self._is_closed:
                    connection.abort("the worker was restarted or left meanwhile")
                    return
                self._connection = connection
                self.connection_count += 1
                for frame in self._sender.connected(processed_sequence):
                    self.sent_bytes += len(frame)
                    connection.write(frame)
                self._pressure.other_changed(self.receiver, is_under_pressure=is_under_pressure)
                self.connected.set()
            case Ack(sequence):
                self._sender.acknowledge(sequence)
            case PressureFrame(is_under_pressure):
                self._pressure.other_changed(self.receiver, is_under_pressure=is_under_pressure)
            case frame:
                raise ProtocolError(f"the dialing side must not receive {type(frame).__name__}")
        self._on_progress()

    def disconnected(self) -> bool:
        """Note that the connection has ended; return whether it was in use."""
        was_connected = self._connection is not None
        self._connection = None
        self._sender.disconnected()
        # While the link is down, what is queued for it decides when to pause.
        self._pressure.other_changed(self.receiver, is_under_pressure=False)
        self._lost.set()
        self._on_progress()
        return was_connected
