"""Both ends of the link from one worker to another: nothing lost, nothing twice.

The sender numbers its frames and keeps each until the receiver has processed it. When the
connection breaks and both processes live, the receiver says how far it came and the sender goes on
behind that. When the receiver was started anew, what it had not acknowledged is sent again to its
successor, numbered from the start.
"""

from collections import deque

from wallaroo.errors import ProtocolError
from wallaroo.names import CheckpointId, EdgeId, Epoch
from wallaroo.wire.data_frames import (
    Barrier,
    BatchFrame,
    MovedAll,
    MovedStates,
    NumberedFrame,
    encode_data_frame,
)

ACK_FRAMES_MAX = 32
ACK_BYTES_MAX = 1 << 18


class LinkSender:
    """Frames on their way to one worker. Methods that send return the bytes to write now."""

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

    def send_states(self, resize: int, state: int, body: bytes) -> bytes:
        """Number and keep states that move."""
        self._last_sequence += 1
        return self._keep(MovedStates(self._last_sequence, resize, state, body))

    def send_moved_all(self, resize: int, key_count: int) -> bytes:
        """Number and keep the end of a move."""
        self._last_sequence += 1
        return self._keep(MovedAll(self._last_sequence, resize, key_count))

    def _keep(self, frame: NumberedFrame) -> bytes:
        encoded = encode_data_frame(frame)
        self._unacknowledged.append((frame, len(encoded)))
        self.unacknowledged_bytes += len(encoded)
        return encoded if self._is_connected else b""

    def connected(self, processed_sequence: int) -> list[bytes]:
        """A connection stands and the receiver came this far; return all it has not got."""
        self.acknowledge(processed_sequence)
        self._is_connected = True
        return [encode_data_frame(frame) for frame, _ in self._unacknowledged]

    def disconnected(self) -> None:
        """The connection is gone; frames are kept until the next one stands."""
        self._is_connected = False

    def receiver_restarted(self) -> None:
        """The receiver was started anew: number what it has not processed from the start."""
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
                case MovedStates() | MovedAll():
                    pass  # a resize ends with a loss; its successor knows nothing of it

    def acknowledge(self, sequence: int) -> None:
        """Forget what is processed. Raises ``ProtocolError`` for what was never sent."""
        if sequence > self._last_sequence:
            raise ProtocolError(
                f"the peer acknowledges frame {sequence}, the last sent is {self._last_sequence}"
            )
        while self._unacknowledged and self._unacknowledged[0][0].sequence <= sequence:
            _, byte_count = self._unacknowledged.popleft()
            self.unacknowledged_bytes -= byte_count


class LinkReceiver:
    """Frames from one incarnation of one worker."""

    def __init__(self, incarnation: Epoch) -> None:
        self.incarnation = incarnation
        self.processed_sequence = 0
        """The last frame of which, and of all before it, everything is processed."""
        self._processed_beyond: set[int] = set()
        self._received_sequence = 0
        self._acknowledged_sequence = 0
        self._unacknowledged_bytes = 0

    def receive(self, sequence: int) -> bool:
        """Say whether this frame is new. Raises ``ProtocolError`` where one is missing."""
        if sequence <= self._received_sequence:
            return False
        if sequence != self._received_sequence + 1:
            raise ProtocolError(
                f"frame {sequence} follows {self._received_sequence}: one in between is missing"
            )
        self._received_sequence = sequence
        return True

    def processed(self, sequence: int, byte_count: int) -> None:
        """The frame is processed, perhaps before others that wait behind a barrier."""
        self._unacknowledged_bytes += byte_count
        self._processed_beyond.add(sequence)
        while self.processed_sequence + 1 in self._processed_beyond:
            self.processed_sequence += 1
            self._processed_beyond.remove(self.processed_sequence)

    @property
    def owes_ack(self) -> bool:
        """Whether anything processed is not acknowledged."""
        return self.processed_sequence > self._acknowledged_sequence

    @property
    def is_ack_due(self) -> bool:
        """Whether enough is processed that the sender should hear of it now."""
        frames = self.processed_sequence - self._acknowledged_sequence
        return frames >= ACK_FRAMES_MAX or self._unacknowledged_bytes >= ACK_BYTES_MAX

    def acknowledge(self) -> int:
        """Return the sequence to acknowledge, as of now."""
        self._acknowledged_sequence = self.processed_sequence
        self._unacknowledged_bytes = 0
        return self.processed_sequence
