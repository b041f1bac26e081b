"""Cuts a stream of bytes into lines.

A line ends in a newline, or in a carriage return and a newline; neither is part of it. Two line
ends in a row have an empty line between them. Text after the last line end is a line, too.
"""

from wallaroo.errors import FramingError


class LineFramer:
    """Collects the bytes of one stream and returns its lines.

    `line_bytes_max` bounds a line without its end. `offset` is the position of the first byte in
    the stream, for messages. After a line that is too long, ``error`` says where. The framer cannot
    continue: the caller uses the lines that it has.
    """

    error: FramingError | None
    end_at_eof = b"\n"
    """Completes a last line without a line end."""

    def __init__(self, line_bytes_max: int, offset: int = 0) -> None:
        self.error = None
        self.frames = b""
        """The whole lines of the last call as they arrived, line ends included."""
        self._line_bytes_max = line_bytes_max
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._rest_offset = offset

    @property
    def buffered_bytes(self) -> int:
        """Number of bytes that are kept of an unfinished line."""
        return self._rest_bytes

    @property
    def rest(self) -> bytes:
        """The start of an unfinished line."""
        return b"".join(self._rest)

    @property
    def rest_offset(self) -> int:
        """Offset in the stream at which the unfinished line, or the next one, starts."""
        return self._rest_offset

    def receive_data(self, data: bytes) -> list[bytes]:
        """Return the lines that `data` ends, in order."""
        self.frames = b""
        if self.error is not None:
            return []
        first_end = data.find(b"\n")
        if first_end < 0:
            # Join the pieces only once the line has ended, so that a long line is copied once.
            self._keep(data)
            if self._rest_bytes > self._line_bytes_max + len(b"\r"):
                self._refuse(self._rest_offset)
            return []
        if self._rest:
            data = b"".join((*self._rest, data))
            self._rest, self._rest_bytes = [], 0
        self.frames = data
        lines = data.split(b"\n")
        rest = lines.pop()
        if b"\r\n" in data:
            lines = [line[:-1] if line.endswith(b"\r") else line for line in lines]
        self._drop_from_too_long(data, lines)
        if self.error is None:
            if rest:
                self.frames = data[: -len(rest)]
            self._rest_offset += len(data) - len(rest)
            self._keep(rest)
        return lines

    def receive_eof(self) -> list[bytes]:
        """Return the last line if it has no line end."""
        if self.error is not None or not self._rest_bytes:
            return []
        line = b"".join(self._rest)
        self._rest, self._rest_bytes = [], 0
        if len(line) > self._line_bytes_max:
            self._refuse(self._rest_offset)
            return []
        self._rest_offset += len(line)
        return [line]

    def _keep(self, rest: bytes) -> None:
        if rest:
            self._rest.append(rest)
            self._rest_bytes += len(rest)

    def _drop_from_too_long(self, data: bytes, lines: list[bytes]) -> None:
        """Drop the first line that is too long, if any, and all lines after it."""
        if len(data) <= self._line_bytes_max:
            return
        for index, line in enumerate(lines):
            if len(line) > self._line_bytes_max:
                before = sum(len(each) + 1 for each in data.split(b"\n", index)[:index])
                self.frames = data[:before]
                self._refuse(self._rest_offset + before)
                del lines[index:]
                return

    def _refuse(self, offset: int) -> None:
        self._rest, self._rest_bytes = [], 0
        self._rest_offset = offset
        self.error = FramingError(
            f"the line at byte {offset} of the stream is longer than the "
            f"{self._line_bytes_max} bytes allowed",
            hint="check that it is made of lines; longer ones need a higher limit",
        )
