"""The link from this worker to another: dials, goes on after a break, follows a restart."""

import asyncio
from collections.abc import Callable

import structlog

from wallaroo.cluster.pressure import Pressure
from wallaroo.errors import ProtocolError
from wallaroo.names import CheckpointId, EdgeId, Epoch, WorkerName
from wallaroo.operators.dataflow import OutgoingBatch
from wallaroo.wire.data_frames import (
    FRAME_BYTES_MAX,
    Ack,
    LinkHello,
    LinkWelcome,
    decode_data_frame,
    encode_data_frame,
)
from wallaroo.wire.data_frames import Pressure as PressureFrame
from wallaroo.wire.data_link import LinkSender
from wallaroo.wire.handshake import Purpose, Side
from wallaroo_workers.network.frames import FrameConnection, split_address

log = structlog.get_logger()

DIAL_TIMEOUT_S = 5.0
BACK_OFF_FIRST_S = 0.02
BACK_OFF_MAX_S = 1.0


class OutgoingLink:
    """Batches and barriers for one worker; dials in a task of its own (``run``)."""

    def __init__(self, hello: LinkHello, address: str, secret: bytes, pressure: Pressure) -> None:
        self._hello = hello
        self._address = address
        self._secret = secret
        self._pressure = pressure
        self._sender = LinkSender()
        self._connection: FrameConnection | None = None
        self._lost = asyncio.Event()
        self.connected = asyncio.Event()
        self.is_ending = False
        """The cluster stops: processes, and with them links, end one after the other."""
        self.on_progress: Callable[[], None] = lambda: None
        """Called when the backlog shrank or the pressure changed."""

    @property
    def backlog_bytes(self) -> int:
        """Bytes that the other worker has not processed."""
        return self._sender.unacknowledged_bytes

    def send_batch(self, batch: OutgoingBatch) -> None:
        """Send a batch, now or when the connection stands again."""
        data = self._sender.send_batch(batch.edge, batch.form, batch.record_count, batch.body)
        self._write(data)

    def send_barrier(self, epoch: Epoch, checkpoint: CheckpointId, edge: EdgeId) -> None:
        """Send a barrier behind all batches."""
        self._write(self._sender.send_barrier(epoch, checkpoint, edge))

    def _write(self, data: bytes) -> None:
        if data:
            assert self._connection is not None
            self._connection.write(data)

    def retarget(self, incarnation: Epoch, address: str) -> None:
        """The worker was started anew: what it had not processed goes to its successor."""
        if incarnation == self._hello.receiver_incarnation:
            return
        self._hello = LinkHello(
            self._hello.sender, self._hello.sender_incarnation, self._hello.receiver, incarnation
        )
        self._address = address
        self._sender.receiver_restarted()
        self.connected.clear()
        if self._connection is not None:
            self._connection.abort("the worker was started anew")

    @property
    def receiver(self) -> WorkerName:
        """The worker at the other end."""
        return self._hello.receiver

    async def run(self) -> None:
        """Keep the link connected until cancelled."""
        back_off_s = BACK_OFF_FIRST_S
        while True:
            self._lost = asyncio.Event()
            try:
                await self._dial()
            except (OSError, TimeoutError) as error:
                log.debug("link.refused", peer=self.receiver, reason=str(error))
            else:
                await self._lost.wait()
            if self.connected.is_set():
                back_off_s = BACK_OFF_FIRST_S
                self.connected.clear()
            await asyncio.sleep(back_off_s)
            back_off_s = min(2 * back_off_s, BACK_OFF_MAX_S)

    async def _dial(self) -> None:
        connection = FrameConnection(Side.DIALER, Purpose.DATA, self._secret, FRAME_BYTES_MAX)
        hello = self._hello
        connection.on_open = lambda: connection.write(encode_data_frame(hello))
        connection.on_frame = lambda frame: self._received(connection, hello, frame)
        connection.on_lost = self._connection_lost
        host, port = split_address(self._address)
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(DIAL_TIMEOUT_S):
            await loop.create_connection(lambda: connection, host, port)

    def _received(self, connection: FrameConnection, hello: LinkHello, data: bytes) -> None:
        match decode_data_frame(data):
            case LinkWelcome(processed_sequence, is_under_pressure):
                if hello != self._hello:
                    connection.abort("the worker was started anew meanwhile")
                    return
                self._connection = connection
                for frame in self._sender.connected(processed_sequence):
                    connection.write(frame)
                self._pressure.other_changed(self.receiver, is_under_pressure=is_under_pressure)
                log.debug("link.connected", peer=self.receiver)
                self.connected.set()
            case Ack(sequence):
                self._sender.acknowledge(sequence)
            case PressureFrame(is_under_pressure):
                self._pressure.other_changed(self.receiver, is_under_pressure=is_under_pressure)
            case frame:
                raise ProtocolError(f"{type(frame).__name__} is not for the dialing side of a link")
        self.on_progress()

    def _connection_lost(self, reason: str) -> None:
        if self._connection is not None and not self.is_ending:
            log.warning(
                "link.lost", peer=self.receiver, reason=reason, bytes_unsent=self.backlog_bytes
            )
        self._connection = None
        self._sender.disconnected()
        # While the link is down its own queue says when to pause.
        self._pressure.other_changed(self.receiver, is_under_pressure=False)
        self._lost.set()
        self.on_progress()
