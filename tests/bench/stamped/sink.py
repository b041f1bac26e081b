"""What a cluster sends of stamped records: how many there were, and how long each read waited."""

import select
import socket
import struct
import threading
import time
from dataclasses import dataclass
from types import TracebackType

STAMP = struct.Struct(">Q")
READ_BYTES = 1 << 18
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Arrival:
    """One read of a connection."""

    at_ns: int
    """On the monotonic clock."""
    oldest_ns: int
    """When the first record in it was sent; a connection keeps the order of its worker."""
    record_count: int

    @property
    def waited_ms(self) -> float:
        """How long that record took."""
        return (self.at_ns - self.oldest_ns) / 1e6


class Sink:
    """Takes every connection, in a thread of its own."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        host, port = self._listener.getsockname()
        self.address = f"{host}:{port}"
        self.arrivals: list[Arrival] = []
        self._byte_count = 0
        self._awaited_ns = 0
        self._seen = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Sink":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_over.set()
        self._thread.join()
        self._listener.close()

    @property
    def record_count(self) -> int:
        """How many records have come."""
        return self._byte_count // STAMP.size

    def expect(self, stamp_ns: int) -> threading.Event:
        """Return what is set once a record has come that is sent then, or later."""
        self._seen.clear()
        self._awaited_ns = stamp_ns
        return self._seen

    def _work(self) -> None:
        rests: dict[socket.socket, bytes] = {}
        while not self._is_over.is_set():
            for ready in select.select([self._listener, *rests], [], [], LOOK_S)[0]:
                if ready is self._listener:
                    rests[self._listener.accept()[0]] = b""
                    continue
                try:
                    read = ready.recv(READ_BYTES)
                except ConnectionError:
                    read = b""
                if read:
                    rests[ready] = self._read(rests[ready] + read)
                else:
                    del rests[ready]
                    ready.close()
        for connection in rests:
            connection.close()

    def _read(self, data: bytes) -> bytes:
        """Note whole stamps; return what is left."""
        at_ns = time.monotonic_ns()
        whole = len(data) - len(data) % STAMP.size
        if whole:
            oldest_ns = STAMP.unpack_from(data)[0]
            newest_ns = STAMP.unpack_from(data, whole - STAMP.size)[0]
            self.arrivals.append(Arrival(at_ns, oldest_ns, whole // STAMP.size))
            self._byte_count += whole
            if self._awaited_ns and newest_ns >= self._awaited_ns:
                self._awaited_ns = 0
                self._seen.set()
        return data[whole:]
