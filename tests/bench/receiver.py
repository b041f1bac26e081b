"""Counts the lines that a cluster sends, over any number of connections."""

import selectors
import socket
import time
from collections.abc import Callable
from types import TracebackType

READ_BYTES = 256 * 1024
LOOK_S = 1.0
TIMEOUT_S = 300.0


class Receiver:
    """Listens from when it is made; reads while somebody waits."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._selector.register(self._listener, selectors.EVENT_READ)
        host, port = self._listener.getsockname()
        self.address = f"{host}:{port}"
        self._buffer = bytearray(READ_BYTES)
        self._missing_count = 0

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for key in [*self._selector.get_map().values()]:
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._selector.close()

    def wait(self, line_count: int, check: Callable[[], None]) -> float:
        """Wait for so many lines more; return the seconds from the first read to the last.

        While nothing comes, call what raises when nothing more will.
        """
        self._missing_count += line_count
        deadline_s = time.monotonic() + TIMEOUT_S
        first_s = last_s = 0.0
        while self._missing_count > 0:
            ready = self._selector.select(LOOK_S)
            if not ready:
                check()
                assert time.monotonic() < deadline_s, f"{self._missing_count} records are missing"
            for key, _ in ready:
                if self._read(key.fileobj):
                    last_s = time.monotonic()
                    first_s = first_s or last_s
        return last_s - first_s

    def _read(self, ready: object) -> int:
        """Take a connection, or what has come over one; return how many bytes that were."""
        assert isinstance(ready, socket.socket)
        if ready is self._listener:
            self._selector.register(self._listener.accept()[0], selectors.EVENT_READ)
            return 0
        byte_count = ready.recv_into(self._buffer)
        self._missing_count -= self._buffer.count(b"\n", 0, byte_count)
        if not byte_count:
            self._selector.unregister(ready)
            ready.close()
        return byte_count
