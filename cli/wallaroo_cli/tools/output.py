"""Where the receiver writes: a file, stdout or nowhere; unbuffered, so that nothing waits."""

import os
import select
import sys
from collections.abc import Sequence

from wallaroo.errors import ClusterError, ConfigError
from wallaroo_cli.tools.intake import Piece


class Output:
    """Writes pieces to a file descriptor; waits while it accepts nothing."""

    def __init__(self, descriptor: int, *, is_ours: bool) -> None:
        self._descriptor = descriptor
        self._is_ours = is_ours

    def write(self, pieces: Sequence[Piece]) -> None:
        """Write all ``pieces``. Raises ``BrokenPipeError`` if the reader has closed the pipe."""
        try:
            for piece in pieces:
                self._write(memoryview(piece))
        except BrokenPipeError:
            raise
        except OSError as error:
            raise ClusterError(
                f"cannot write what was received: {error.strerror}",
                hint="make room, or write elsewhere with --output",
            ) from error

    def close(self) -> None:
        """Close the file, unless it is stdout."""
        if self._is_ours:
            os.close(self._descriptor)

    def _write(self, view: memoryview) -> None:
        written = 0
        while written < len(view):
            try:
                written += os.write(self._descriptor, view[written:])
            except BlockingIOError:
                # Another program on the same terminal or pipe may have made it non-blocking.
                select.select([], [self._descriptor], [])


class NoOutput(Output):
    """Accepts everything and writes nothing."""

    def __init__(self) -> None:
        super().__init__(-1, is_ours=False)

    def write(self, pieces: Sequence[Piece]) -> None:
        """Do nothing."""


def open_output(path: str | None, *, is_written: bool) -> Output:
    """Return the output that the options name; an existing file is overwritten."""
    if not is_written:
        return NoOutput()
    if path is None:
        return Output(sys.stdout.fileno(), is_ours=False)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    except OSError as error:
        raise ConfigError(f"cannot write --output {path!r}: {error.strerror}") from error
    return Output(descriptor, is_ours=True)
