"""Real sockets and the installed commands, for tests that need both."""

import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

COMMANDS = Path(sys.executable).parent
WAIT_S = 30


class Sink:
    """Listens on loopback and keeps what each connection sends until it ends."""

    def __init__(self, connection_count: int = 1, *, read_count: int | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(WAIT_S)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.received = [bytearray() for _ in range(connection_count)]
        self._read_count = read_count
        self._arrived = threading.Condition()
        self._thread = threading.Thread(target=self._accept)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._thread.join(WAIT_S)
        self._listener.close()

    def wait_for(self, byte_count: int) -> None:
        """Return when the first connection has brought that much."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: len(self.received[0]) >= byte_count, WAIT_S)

    def _accept(self) -> None:
        readers = []
        for received in self.received:
            connection, _ = self._listener.accept()
            connection.settimeout(WAIT_S)
            readers.append(threading.Thread(target=self._read, args=(connection, received)))
            readers[-1].start()
        for reader in readers:
            reader.join(WAIT_S)

    def _read(self, connection: socket.socket, received: bytearray) -> None:
        with connection:
            while self._read_count is None or len(received) < self._read_count:
                piece = connection.recv(65536)
                if not piece:
                    return
                with self._arrived:
                    received += piece
                    self._arrived.notify_all()


def run(command: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run an installed command to its end."""
    return subprocess.run(
        [COMMANDS / command, *arguments],
        capture_output=True,
        text=True,
        timeout=WAIT_S,
        check=False,
    )


def start(command: str, *arguments: str) -> subprocess.Popen[bytes]:
    """Start an installed command that Ctrl-C can interrupt."""
    # In the background of a script pytest has SIGINT ignored, and its children would have too.
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return subprocess.Popen(
            [COMMANDS / command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    finally:
        signal.signal(signal.SIGINT, previous)


def unused_address() -> str:
    """Return an address where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


class RunningReceiver:
    """A ``wallaroo-receiver`` that listens already."""

    def __init__(self, *arguments: str) -> None:
        self.process = start("wallaroo-receiver", "--listen", "127.0.0.1:0", *arguments)
        assert self.process.stderr is not None
        line = self.process.stderr.readline().decode()
        match = re.fullmatch(r"Listening on 127\.0\.0\.1:(\d+)\n", line)
        assert match, line + self.process.stderr.read().decode()
        self.port = int(match[1])

    def connect(self) -> socket.socket:
        """Return a new connection to it."""
        return socket.create_connection(("127.0.0.1", self.port), WAIT_S)

    def finish(self, signal_number: int | None = None) -> tuple[int, bytes, str]:
        """Send the signal, if any; return exit status, stdout and the rest of stderr."""
        if signal_number is not None:
            self.process.send_signal(signal_number)
        out, err = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, out, err.decode()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate(timeout=WAIT_S)
