"""A folder of dead letters, as workers write them, and a source that takes payloads."""

import json
import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from click.testing import CliRunner, Result

from wallaroo.operators.failures import Failure
from wallaroo_cli.dead_letters import main
from wallaroo_workers.dead_letters import DeadLetters


def failure(
    number: int, step: str = "add", payload: bytes | None = b"", pipeline: str = "votes"
) -> Failure:
    return Failure(
        pipeline=pipeline,
        step=step,
        key=f"k{number}",
        error=f"ValueError: number {number}",
        traceback=f'Traceback (most recent call last):\n  File "app.py"\nValueError: {number}\n',
        payload=b"payload %d" % number if payload == b"" else payload,
        record=f"Vote({number})",
        at="/srv/app.py:7",
    )


def keep(folder: Path, failures: Sequence[Failure], worker: str = "w1") -> None:
    """Write these letters, one after the other."""
    kept = DeadLetters(str(folder), "app", worker)
    for each in failures:
        kept.add([each])
    kept.close()


def invoke(folder: Path, command: str, *arguments: str, answer: str | None = None) -> Result:
    line = [command, "--dead-letters", str(folder), *arguments]
    return CliRunner().invoke(main, line, input=answer)


def json_of(folder: Path, command: str, *arguments: str) -> Any:
    return json.loads(invoke(folder, command, *arguments, "--json").stdout)


class TakingSource:
    """Takes connections and reads them to their ends; ``fails_from`` resets from that one on."""

    def __init__(self, fails_from: int | None = None) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        host, port = self._listener.getsockname()
        self.address = f"{host}:{port}"
        self.received: list[bytes] = []
        """The bytes of each connection that was read to its end."""
        self._fails_from = fails_from
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "TakingSource":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                if self._fails_from is not None and len(self.received) >= self._fails_from:
                    connection.recv(1)  # the sender is connected by now, whatever it sees later
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    continue
                pieces = []
                while piece := connection.recv(65536):
                    pieces.append(piece)
                self.received.append(b"".join(pieces))
