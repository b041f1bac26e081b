"""Lines of the standard input as records, and results on the standard output, for pipes.

    import wallaroo
    from wallaroo_connectors.stdio import StdinSource, StdoutSink

    @wallaroo.decoder
    def decode(line): return line.decode()

    def application_setup(args):
        app = wallaroo.ApplicationBuilder("words").new_pipeline("lines", StdinSource(decode))
        ...

The standard input is that of ``wallaroo-run``. It cannot be read again, so after the loss of the
worker that reads it, lines are missing that this worker had taken from the pipe and that were not
in the journal: at most once. If the worker had read the first part of a line, the second part
arrives as a line of its own. With ``--resilience-dir`` a line in the journal is processed exactly
once.
"""

import os
import select
from collections.abc import Iterator, Sequence
from typing import Any

import wallaroo

__all__ = ["StdinSource", "StdoutSink"]

LINE_BYTES_MAX = 16 << 20
READ_BYTES = 1 << 16
WAIT_S = 0.1
"""How long a read may wait for input: in between the runtime uses the same thread."""
PIPE_BYTES = select.PIPE_BUF
"""A write of so many bytes to a pipe stays in one piece, whatever other workers write."""


class StdinSource(wallaroo.PushedSource[Any]):
    """Reads lines from the standard input of ``wallaroo-run``, up to its end.

    ``decoder`` gets a line without its line end: a function decorated with ``wallaroo.decoder``, or
    any function of bytes. One worker reads, and it has to be on the host of the command.
    """

    runs = "once"
    reads_stdin = True

    def __init__(self, decoder: Any) -> None:
        self.decoder = decoder
        # These outlast an error: what was read from a pipe cannot be read again.
        self._lines: Iterator[bytes] = iter(())
        self._rest = b""

    def receive(self) -> Iterator[wallaroo.Delivery[bytes] | None]:
        """Yield each line."""
        while True:
            for line in self._lines:
                yield wallaroo.Delivery(line)
            if not select.select([0], [], [], WAIT_S)[0]:
                yield None
                continue
            data = os.read(0, READ_BYTES)
            if not data:
                break
            self._lines = iter(self._cut(data))
        if self._rest:
            rest, self._rest = self._rest, b""
            yield wallaroo.Delivery(rest.removesuffix(b"\r"))

    def _cut(self, data: bytes) -> list[bytes]:
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0], self._rest = self._rest + lines[0], rest
        else:
            self._rest += rest
        if len(self._rest) > LINE_BYTES_MAX:
            raise wallaroo.SourceError(
                f"a line of the standard input is longer than {LINE_BYTES_MAX} bytes",
                "end each record with a newline",
            )
        return [line.removesuffix(b"\r") for line in lines]

    def ack(self, tags: Sequence[Any], /) -> None:
        """Nobody waits for it."""


class StdoutSink(wallaroo.Sink[Any]):
    """Writes to the standard output of ``wallaroo-run``, or of the agent on another host.

    What ``encoder`` returns is written unchanged, so it ends with a newline. Without an encoder
    each record becomes a line as ``str`` shows it. Lines of up to 4 KiB stay in one piece.
    """

    def __init__(self, encoder: Any = None, name: str | None = None) -> None:
        self.encoder = encoder
        self.name = name

    def write(self, records: list[Any], /) -> None:
        """Write all records; return when the other end of the pipe has room for them."""
        piece = b""
        for record in records:
            data = self._as_bytes(record)
            if piece and len(piece) + len(data) > PIPE_BYTES:
                _write(piece)
                piece = b""
            piece += data
        _write(piece)

    def _as_bytes(self, record: Any) -> bytes:
        if self.encoder is None:
            return f"{record}\n".encode(errors="backslashreplace")
        return record.encode() if isinstance(record, str) else bytes(record)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(1, view) :]
        except BlockingIOError:
            # A process that shares the pipe may have made it non-blocking.
            select.select([], [1], [])
        except BrokenPipeError as error:
            raise wallaroo.SinkError(
                "the standard output is closed: what read the results has ended",
                "start again with a reader that takes all results; see what became of it",
            ) from error
