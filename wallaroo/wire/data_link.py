"""Both ends of the link from one worker to another: no frame is lost, and none is processed twice.

A link is longer than its connections. The sender numbers its frames and keeps each one until the
receiver has *processed* it. After a broken connection the receiver names the last frame that it has
processed, and the sender sends everything behind it again.

    LinkSender                                        LinkReceiver
    send_batch(): number, keep, write   --frame-->    receive(): is it new?
                                                      ... the engine processes it ...
    acknowledge(): forget               <--Ack---     processed(); acknowledge()
    connected(): write the rest again   <-Welcome-    acknowledge()

**What can go wrong**

* *A connection breaks.* Neither side knows which frames in the kernel's buffers have arrived. So
  all that are not acknowledged are sent again, and the receiver drops those that it has seen.
* *The receiver dies with frames in its inbox.* If it acknowledged frames on arrival, these would be
  lost. So it acknowledges what is processed, and the inbox needs no log of its own.
* *Frames are processed out of order.* A frame behind a barrier is held back while frames of other
  edges go on. One number can only acknowledge a gapless prefix, so frames processed ahead of a gap
  are remembered (``_processed_beyond``) and acknowledged when it closes.
* *A process is replaced.* Its successor counts from 1 again. A connection of the dead process may
  still deliver frames or acknowledgements. So a hello names the incarnation of both ends, a link of
  an older incarnation is refused, and a new incarnation of the sender gets a new receiver.
* *A frame is missing although the connection is fine.* That is a bug on one side. Processing on
  would hide a lost record, so it is an error that breaks the connection.
* *The receiver is slow.* Unacknowledged frames take memory. Their bytes are part of the backlog
  that makes sources pause; the link itself never refuses a frame.

**Invariants**

1. The sender keeps exactly the frames behind the last acknowledged one, in order and without a gap.
2. The receiver passes each number on once, in order. So a barrier arrives behind all frames that
   were sent before it, over any number of connections.
3. Everything up to ``processed_sequence`` is processed, and it never exceeds what was received.
4. No side acknowledges what was not sent; the sender checks that.

**Why this order**

``connected`` first drops what the welcome acknowledges and then returns all the rest. Only after
that may new frames be written directly, so a new frame never overtakes an older one. The welcome
carries what is processed, not what is received: frames in the inbox are sent twice after a break,
which costs some bytes, but a receiver then needs no second number.

After ``receiver_restarted`` the frames are numbered again for a process that has seen none of them.
The dead process may have processed some, but its state died with it. This happens only without
checkpoints: with them, all workers go back to a checkpoint and every link starts anew. Moving
states are dropped then, because a resize ends when a worker is lost.
"""

from collections import deque
from collections.abc import Mapping

from wallaroo.errors import ProtocolError
from wallaroo.names import CheckpointId, EdgeId, Epoch
from wallaroo.wire.data_frames import (
    Barrier,
    BatchFrame,
    ClockFrame,
    MovedAll,
    MovedStates,
    NumberedFrame,
    encode_data_frame,
)

ACK_FRAMES_MAX = 32
ACK_BYTES_MAX = 1 << 18


class LinkSender:
    """The frames for one worker. Methods that send return the bytes to write now."""

    def __init__(self) -> None:
        self._last_sequence = 0
        self._unacknowledged: deque[tuple[NumberedFrame, int]] = deque()
        self._is_connected = False
        self.unacknowledged_bytes = 0

    def send_batch(
        self, edge: EdgeId, form: int, record_count: int, body: bytes, delivered_ns: int = 0
    ) -> bytes:
        """Number and keep a batch."""
        self._last_sequence += 1
        return self._keep(
            BatchFrame(self._last_sequence, edge, form, record_count, body, delivered_ns)
        )

    def send_barrier(self, epoch: Epoch, checkpoint: CheckpointId, edge: EdgeId) -> bytes:
        """Number and keep a barrier."""
        self._last_sequence += 1
        return self._keep(Barrier(self._last_sequence, epoch, checkpoint, edge))

    def send_clock(self, edge: EdgeId, time: int, status: int) -> bytes:
        """Number and keep a watermark."""
        self._last_sequence += 1
        return self._keep(ClockFrame(self._last_sequence, edge, time, status))

    def send_states(self, resize: int, state: int, body: bytes) -> bytes:
        """Number and keep a frame of moving states."""
        self._last_sequence += 1
        return self._keep(MovedStates(self._last_sequence, resize, state, body))

    def send_moved_all(
        self, resize: int, key_count: int, clocks: Mapping[str, tuple[int, int]]
    ) -> bytes:
        """Number and keep the frame that ends a move."""
        self._last_sequence += 1
        return self._keep(MovedAll(self._last_sequence, resize, key_count, clocks))

    def _keep(self, frame: NumberedFrame) -> bytes:
        encoded = encode_data_frame(frame)
        self._unacknowledged.append((frame, len(encoded)))
        self.unacknowledged_bytes += len(encoded)
        return encoded if self._is_connected else b""

    def connected(self, processed_sequence: int) -> list[bytes]:
        """Start to use a connection; return all frames behind ``processed_sequence``."""
        self.acknowledge(processed_sequence)
        self._is_connected = True
        return [encode_data_frame(frame) for frame, _ in self._unacknowledged]

    def disconnected(self) -> None:
        """Keep frames from now on until the next connection is established."""
        self._is_connected = False

    def receiver_restarted(self) -> None:
        """Number all kept frames from 1, for a new process of the receiver."""
        self._is_connected = False
        frames = list(self._unacknowledged)
        self._unacknowledged.clear()
        self._last_sequence = 0
        self.unacknowledged_bytes = 0
        for frame, _ in frames:
            match frame:
                case BatchFrame(_, edge, form, record_count, body, delivered_ns):
                    self.send_batch(edge, form, record_count, body, delivered_ns)
                case Barrier(_, epoch, checkpoint, edge):
                    self.send_barrier(epoch, checkpoint, edge)
                case ClockFrame(_, edge, time, status):
                    self.send_clock(edge, time, status)
                case MovedStates() | MovedAll():
                    pass  # the resize ended when the receiver was lost

    def acknowledge(self, sequence: int) -> None:
        """Forget frames up to this one. Raises ``ProtocolError`` if it was never sent."""
        if sequence > self._last_sequence:
            raise ProtocolError(
                f"the peer acknowledges frame {sequence}, the last sent is {self._last_sequence}"
            )
        while self._unacknowledged and self._unacknowledged[0][0].sequence <= sequence:
            _, byte_count = self._unacknowledged.popleft()
            self.unacknowledged_bytes -= byte_count


class LinkReceiver:
    """The frames from one incarnation of one worker."""

    def __init__(self, incarnation: Epoch) -> None:
        self.incarnation = incarnation
        self.processed_sequence = 0
        """The last frame that is processed together with all frames before it."""
        self._processed_beyond: set[int] = set()
        self._received_sequence = 0
        self._acknowledged_sequence = 0
        self._unacknowledged_bytes = 0

    def receive(self, sequence: int) -> bool:
        """Return whether this frame is new. Raises ``ProtocolError`` if one before it is
        missing."""
        if sequence <= self._received_sequence:
            return False
        if sequence != self._received_sequence + 1:
            raise ProtocolError(
                f"frame {sequence} follows {self._received_sequence}: one in between is missing"
            )
        self._received_sequence = sequence
        return True

    def processed(self, sequence: int, byte_count: int) -> None:
        """Note that a frame is processed, perhaps before others that wait behind a barrier."""
        self._unacknowledged_bytes += byte_count
        self._processed_beyond.add(sequence)
        while self.processed_sequence + 1 in self._processed_beyond:
            self.processed_sequence += 1
            self._processed_beyond.remove(self.processed_sequence)

    @property
    def owes_ack(self) -> bool:
        """Whether a processed frame is not acknowledged yet."""
        return self.processed_sequence > self._acknowledged_sequence

    @property
    def is_ack_due(self) -> bool:
        """Whether enough is processed to acknowledge it now."""
        frames = self.processed_sequence - self._acknowledged_sequence
        return frames >= ACK_FRAMES_MAX or self._unacknowledged_bytes >= ACK_BYTES_MAX

    def acknowledge(self) -> int:
        """Return the sequence to acknowledge; the caller sends it."""
        self._acknowledged_sequence = self.processed_sequence
        self._unacknowledged_bytes = 0
        return self.processed_sequence
