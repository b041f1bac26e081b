"""The output that a sink has not acknowledged, over any number of connections.

A chunk holds whole records. It is kept until the TCP of the other side has acknowledged it, because
bytes in our own kernel are lost if a connection breaks. After that the queue goes back to the first
chunk that was not completely acknowledged. So nothing is missing, each connection starts with a
whole record, and some records may be sent twice.
"""

from collections import deque

from wallaroo.connectors.holds import Holds


class SinkQueue:
    """Chunks in order: those handed out to the connection, then waiting and held ones."""

    def __init__(self) -> None:
        self._handed_out: deque[bytes] = deque()
        self._waiting: deque[bytes] = deque()
        self._holds: Holds[bytes] = Holds()
        self._handed_out_bytes = 0
        self.queued_bytes = 0
        """Bytes that the sink has not acknowledged."""
        self.waiting_bytes = 0
        """Bytes of these that may be handed out now."""

    @property
    def unsent_bytes(self) -> int:
        """Bytes that are not handed out yet, including held ones."""
        return self.queued_bytes - self._handed_out_bytes

    @property
    def is_holding(self) -> bool:
        """Whether appended chunks have to wait for a release."""
        return self._holds.is_holding

    def append(self, chunk: bytes) -> None:
        """Queue whole records."""
        self.queued_bytes += len(chunk)
        if self._holds.is_holding:
            self._holds.add(chunk)
            return
        self._waiting.append(chunk)
        self.waiting_bytes += len(chunk)

    def hold(self, number: int) -> None:
        """Keep back chunks that are appended from now on, until ``release(number)``."""
        self._holds.hold(number)

    def release(self, number: int) -> None:
        """Release the hold of this number, if there is one; earlier holds still block it."""
        chunks = self._holds.release(number)
        self._waiting.extend(chunks)
        self.waiting_bytes += sum(map(len, chunks))

    def drop_held(self) -> None:
        """Forget what is held back: a replay makes it again, and older results come first then."""
        self.queued_bytes -= sum(map(len, self._holds.drop()))

    def take(self, byte_count_max: int) -> bytes:
        """Return the next chunks to write: at least one if any is waiting, otherwise ``b""``."""
        taken: list[bytes] = []
        size = 0
        while self._waiting and (not taken or size + len(self._waiting[0]) <= byte_count_max):
            chunk = self._waiting.popleft()
            taken.append(chunk)
            size += len(chunk)
        self._handed_out.extend(taken)
        self._handed_out_bytes += size
        self.waiting_bytes -= size
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def unsettled(self, byte_count: int) -> None:
        """Forget what is acknowledged: all but the last ``byte_count`` bytes handed out."""
        acknowledged = self._handed_out_bytes - byte_count
        while self._handed_out and len(self._handed_out[0]) <= acknowledged:
            chunk = self._handed_out.popleft()
            acknowledged -= len(chunk)
            self._handed_out_bytes -= len(chunk)
            self.queued_bytes -= len(chunk)

    def connection_lost(self) -> None:
        """Queue the chunks again that were handed out and not acknowledged."""
        self._waiting.extendleft(reversed(self._handed_out))
        self.waiting_bytes += self._handed_out_bytes
        self._handed_out.clear()
        self._handed_out_bytes = 0
