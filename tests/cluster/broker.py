"""A broker that pushes messages, and again over another connection if they are not acknowledged."""

import contextlib
import socket
import threading
from collections import deque
from collections.abc import Iterator

from tests.cluster.harness import wait_until


class Broker:
    """Gives each message to one connection. Messages are lines, and so are acknowledgements."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=16)
        self.port = int(self._listener.getsockname()[1])
        self._changed = threading.Condition()
        self._messages: deque[bytes] = deque()
        self._connections: list[socket.socket] = []
        self.hears_acks = True
        """If not, acknowledgements are lost on their way."""
        self.acknowledged: set[bytes] = set()
        self.lost_acks: set[bytes] = set()
        self.connection_count = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def push(self, messages: list[bytes]) -> None:
        """Give these to the consumers."""
        with self._changed:
            self._messages.extend(messages)
            self._changed.notify_all()

    def push_over(self, connection: int, message: bytes) -> None:
        """Give a message to one consumer, by the order in which they connected."""
        self._connections[connection].sendall(message + b"\n")

    def wait_acknowledged(self, messages: list[bytes]) -> None:
        wait_until("messages are acknowledged", lambda: self.acknowledged >= {*messages})

    def wait_lost(self, messages: list[bytes]) -> None:
        wait_until("acknowledgements are lost", lambda: self.lost_acks >= {*messages})

    def close(self) -> None:
        # A thread that waits in accept() would keep the socket open.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._connections:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(accepted)
            self.connection_count += 1
            unacknowledged: list[bytes] = []
            is_open = threading.Event()
            is_open.set()
            for work in self._send, self._receive:
                arguments = (accepted, unacknowledged, is_open)
                threading.Thread(target=work, args=arguments, daemon=True).start()

    def _send(
        self, connection: socket.socket, unacknowledged: list[bytes], is_open: threading.Event
    ) -> None:
        while True:
            with self._changed:
                while not self._messages and is_open.is_set():
                    self._changed.wait()
                if not is_open.is_set():
                    return
                message = self._messages.popleft()
                unacknowledged.append(message)
            with contextlib.suppress(OSError):
                connection.sendall(message + b"\n")

    def _receive(
        self, connection: socket.socket, unacknowledged: list[bytes], is_open: threading.Event
    ) -> None:
        with contextlib.suppress(OSError), connection.makefile("rb") as lines:
            for line in lines:
                message = line.rstrip(b"\n")
                with self._changed:
                    if not self.hears_acks:
                        self.lost_acks.add(message)
                    elif message in unacknowledged:
                        unacknowledged.remove(message)
                        self.acknowledged.add(message)
        with self._changed:
            is_open.clear()
            self._messages.extendleft(reversed(unacknowledged))
            unacknowledged.clear()
            self._changed.notify_all()


@contextlib.contextmanager
def pushing() -> Iterator[Broker]:
    broker = Broker()
    try:
        yield broker
    finally:
        broker.close()
