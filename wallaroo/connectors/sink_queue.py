"""What a sink has still to get, over as many connections as it takes.

A chunk holds whole records. It stays until the other side's TCP has acknowledged it: bytes that
our own kernel still holds when a connection breaks are lost with it. After a break the queue goes
back to the first chunk that was not acknowledged whole, so that nothing is missing, each connection
begins with a whole record, and some records may come twice.
"""

from collections import deque


class SinkQueue:
    """Chunks in order: acknowledged ones are gone, then handed out ones, then waiting ones."""

    def __init__(self) -> None:
        self._handed_out: deque[bytes] = deque()
        self._waiting: deque[bytes] = deque()
        self._handed_out_bytes = 0
        self.queued_bytes = 0
        """Bytes that the sink has not acknowledged."""
        self.waiting_bytes = 0
        """Of these, bytes that no connection has been given yet."""

    def append(self, chunk: bytes) -> None:
        """Queue whole records."""
        self._waiting.append(chunk)
        self.queued_bytes += len(chunk)
        self.waiting_bytes += len(chunk)

    def take(self, byte_count_max: int) -> bytes:
        """Return the next chunks to write: at least one if there is any, else ``b""``."""
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
        """Of all that was handed out, the last ``byte_count`` bytes are not acknowledged yet."""
        acknowledged = self._handed_out_bytes - byte_count
        while self._handed_out and len(self._handed_out[0]) <= acknowledged:
            chunk = self._handed_out.popleft()
            acknowledged -= len(chunk)
            self._handed_out_bytes -= len(chunk)
            self.queued_bytes -= len(chunk)

    def connection_lost(self) -> None:
        """What was handed out and not acknowledged is to be written again, to the next one."""
        self._waiting.extendleft(reversed(self._handed_out))
        self.waiting_bytes += self._handed_out_bytes
        self._handed_out.clear()
        self._handed_out_bytes = 0
