"""Runs a file source: reads a piece, waits until the engine has taken it, reads the next.

A position is the offset at which the current piece starts in the file, plus the number of its
payloads that the engine has taken. So nothing is counted for each payload, and a position still
names one record exactly.
"""

import asyncio
import os
import stat
import time
from collections.abc import Callable, Iterator
from typing import Any

from wallaroo.codec.framing import LengthFramer
from wallaroo.codec.lines import LineFramer
from wallaroo.connectors.file import FileSource
from wallaroo.errors import ConfigError
from wallaroo.runtime.engine import Engine
from wallaroo.runtime.engine_ports import Origin
from wallaroo_workers.forks import ours
from wallaroo_workers.logs import get_logger
from wallaroo_workers.sources.context import SourceContext

log = get_logger()

READ_BYTES = 256 << 10


class FileRunner:
    """Reads one file, on the only worker that reads it."""

    def __init__(
        self,
        source: FileSource,
        pipeline: int,
        name: str,
        path: str,
        engine: Engine,
        frame_bytes_max: int,
        on_ended: Callable[[], None],
    ) -> None:
        self._on_ended = on_ended
        self._source = source
        self._pipeline = pipeline
        self._name = name
        self._path = path
        self._engine = engine
        self._frame_bytes_max = frame_bytes_max
        self._framer: LengthFramer | LineFramer
        self._pieces: Iterator[list[bytes]]
        self._file: int | None = None
        self._offset = 0
        self._end_offset: int | None = None
        self._skip_count = 0
        """Payloads after the restored offset that had been taken before."""
        self._payloads: list[bytes] = []
        self._payloads_offset = 0
        """Where in the file the first of them starts."""
        self._taken_count = 0
        self.delivered_ns = 0
        """The time at which the piece was read."""
        self.is_ended = False
        """Whether every payload has been taken and none will follow."""
        self.problem = ""
        """Why the source ended before the end of the file; empty if it did not."""

    @property
    def origin(self) -> Origin:
        """The whole source is one channel."""
        return Origin(None, self.delivered_ns)

    @property
    def pipeline(self) -> int:
        """The index of the pipeline that processes these payloads."""
        return self._pipeline

    def start(self) -> None:
        """Read the first piece. Raises ``ConfigError`` if the file cannot be read."""
        try:
            # Opening a pipe without a writer would block.
            self._file = ours(os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
            status = os.fstat(self._file)
            if not stat.S_ISREG(status.st_mode):
                raise ConfigError(f"the source {self._path} is not a regular file")
            os.lseek(self._file, self._offset, os.SEEK_SET)
        except OSError as error:
            raise ConfigError(
                f"the source file {self._path} cannot be read: {error.strerror}",
                hint="create it, and make it readable for the user who starts the run",
            ) from error
        if self._end_offset is None:
            self._end_offset = status.st_size
        elif status.st_size < self._end_offset:
            raise ConfigError(
                f"the source file {self._path} has {status.st_size} bytes; it had "
                f"{self._end_offset} when it was first opened",
                hint="restore the file as it was",
            )
        self._framer = self._new_framer()
        self._pieces = self._cut_pieces(self._file, self._end_offset)
        self._read_on()

    @property
    def offset(self) -> int:
        """The number of bytes that were read."""
        return self._offset

    def stop(self) -> None:
        """Stop reading and returning payloads; ``position`` is before the first untaken one."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    # Position

    @property
    def end(self) -> str | None:
        """Return ``None`` before the end; after it ``""``, or why the source ended early."""
        return self.problem if self.is_ended else None

    def position(self) -> list[int]:
        """Return the position after the last payload that was taken, for ``restore``."""
        assert self._end_offset is not None, "start was not called"
        if self._taken_count < len(self._payloads):
            return [self._payloads_offset, self._taken_count, self._end_offset]
        return [self._framer.rest_offset, self._skip_count, self._end_offset]

    def restore(self, position: list[int]) -> None:
        """Set the position at which ``start`` begins to read."""
        self._offset, self._skip_count, self._end_offset = position

    # Called by the engine

    @property
    def has_records(self) -> bool:
        """Whether payloads wait to be taken."""
        return self._file is not None and self._taken_count < len(self._payloads)

    def take(self, record_count_max: int) -> list[Any]:
        """Return the next payloads."""
        if not self.has_records:
            return []
        start = self._taken_count
        self._taken_count = min(start + record_count_max, len(self._payloads))
        return self._payloads[start : self._taken_count]

    def batch_consumed(self) -> None:
        """Read the next piece, or end."""
        self._read_on()

    # The file

    def _read_on(self) -> None:
        if self._file is None:
            return
        self._payloads_offset = self._framer.rest_offset
        try:
            payloads = next(self._pieces, None)
        except OSError as error:
            self.problem = f"reading failed at byte {self._offset}: {error.strerror}"
            payloads = None
        if payloads is None:
            self._end()
            return
        self.delivered_ns = time.time_ns()
        self._payloads = payloads
        self._taken_count = min(self._skip_count, len(payloads))
        self._skip_count -= self._taken_count
        if self.has_records:
            self._engine.source_ready(self)
        else:
            # Yield to the event loop between pieces: one record may span many of them.
            asyncio.get_running_loop().call_soon(self._read_on)

    def _new_framer(self) -> LengthFramer | LineFramer:
        source, bytes_max = self._source, self._frame_bytes_max
        if source.framing == "newline":
            return LineFramer(bytes_max, self._offset)
        return LengthFramer(source.header_length, source.payload_length, bytes_max, self._offset)

    def _cut_pieces(self, file: int, end_offset: int) -> Iterator[list[bytes]]:
        """Yield for each piece of the file the payloads that it completes, possibly none."""
        framer = self._framer
        while self._offset < end_offset:
            data = os.read(file, min(READ_BYTES, end_offset - self._offset))
            if not data:
                self.problem = f"it ends at byte {self._offset}, but had {end_offset} bytes before"
                return
            self._offset += len(data)
            yield framer.receive_data(data)
            if framer.error is not None:
                self.problem = framer.error.what
                return
        rest = framer.receive_eof()
        if framer.error is not None:
            self.problem = framer.error.what
        elif isinstance(rest, list):
            yield rest
        elif rest:
            self.problem = f"it ends within the frame at byte {framer.rest_offset}"

    def _end(self) -> None:
        self.stop()
        self._payloads, self._taken_count = [], 0
        self.is_ended = True
        if self.problem:
            self.problem = f"the source file {self._path} was not read to its end: {self.problem}"
            log.error(
                "source.rejected",
                pipeline=self._name,
                path=self._path,
                reason=self.problem,
                hint="everything before this byte is processed, and nothing after it",
            )
        else:
            log.info("source.finished", pipeline=self._name)
        self._on_ended()


def new_runner(context: SourceContext) -> FileRunner:
    """Return the runner of a file source."""
    source, options = context.source, context.options
    assert isinstance(source, FileSource)
    return FileRunner(
        source,
        context.index,
        context.pipeline.name,
        os.path.join(options.folder, source.path),
        context.engine,
        options.frame_bytes_max,
        context.events.source_ended,
    )
