"""Cuts a stream of bytes into frames: a header with the payload's length, and the payload.

Headers are written by senders, so they may be wrong: a length is checked before any byte of its
payload is kept. Each byte is copied a constant number of times, however the stream is split and
however slow the peer is. If the package was built with a C compiler, ``_compiled`` cuts frames
whose header is an unsigned integer, and the Python here does the rest. Most senders write frames of
one length, often tens of thousands in one read, so runs of equal headers are found and cut
together.
"""

import struct
from collections.abc import Callable
from functools import lru_cache
from itertools import chain, repeat

from wallaroo.describing import a_type, error_text
from wallaroo.errors import FramingError

try:
    from wallaroo.codec import _compiled
except ImportError:
    _compiled = None  # type: ignore[assignment]  # built without a compiler

_SINGLES_MIN = 8
_SINGLES_MAX = 256
"""Frames that are cut one by one between two searches for a run; few while runs are found."""

_RUN_MIN = 48
"""A search for a run costs about as much as cutting this many frames one by one."""

_FRAMES_AT_ONCE = 64
"""Frames unpacked by one ``struct`` call, which halves their cost in a long run."""

_WINDOW_FIRST = 64
_WINDOW_GROWTH = 8
"""A search for a run reads this many headers, and this many times more if all were equal."""


def is_compiled() -> bool:
    """Return whether the compiled code is in use."""
    return _compiled is not None


class LengthFramer:
    """Collects the bytes of one connection and returns the payloads of whole frames.

    `payload_length` is the ``struct`` format of a header that is one integer (``">I"``), or a
    function from the header's bytes to the number of bytes that follow it; the function must
    return the same length for equal headers. `frame_bytes_max` limits a payload, without its
    header. `offset` is the position of the first byte in the stream, for messages. Raises
    ``ValueError`` for a format that is not one integer of `header_length` bytes.

    After bytes that cannot be a frame, ``error`` says where and why. The framer cannot continue:
    the caller uses the payloads that it has, then closes the connection.
    """

    error: FramingError | None
    end_at_eof = b""
    """Empty, since no bytes can complete a frame that the sender left unfinished."""

    def __init__(
        self,
        header_length: int,
        payload_length: str | Callable[[bytes], int],
        frame_bytes_max: int,
        offset: int = 0,
    ) -> None:
        if header_length < 1:
            raise ValueError(f"a header has at least 1 byte, not {header_length}")
        self.error = None
        self._header_length = header_length
        self._frame_bytes_max = frame_bytes_max
        self._read_length = (
            _length_by_format(payload_length, header_length)
            if isinstance(payload_length, str)
            else _length_by_function(payload_length, header_length)
        )
        # The byte order for the compiled code; `None` if it does not read this header.
        self._is_big_endian: bool | None = None
        if _compiled is not None and isinstance(payload_length, str):
            self._is_big_endian = _is_big_endian(self._read_length, header_length)
        self.frames = b""
        """The whole frames of the last call as they arrived, headers included."""
        self._rest = bytearray()
        self._rest_offset = offset  # of the rest in the stream, so of a header
        self._bytes_needed = header_length  # before the rest is worth another look
        self._singles = _SINGLES_MIN

    @property
    def buffered_bytes(self) -> int:
        """Number of bytes that are kept of an unfinished frame, its header included."""
        return len(self._rest)

    @property
    def rest(self) -> bytes:
        """The start of an unfinished frame, its header included."""
        return bytes(self._rest)

    @property
    def rest_offset(self) -> int:
        """Offset in the stream at which the unfinished frame, or the next one, starts."""
        return self._rest_offset

    def receive_data(self, data: bytes) -> list[bytes]:
        """Return the payloads of the frames that `data` completes, in order.

        Once a header is refused, ``error`` is set; the payloads before it are returned, and later
        calls return nothing.
        """
        if self.error is not None:
            return []
        if self._rest:
            if len(self._rest) + len(data) < self._bytes_needed:
                self._rest += data
                return []
            data = b"".join((self._rest, data))
        payloads: list[bytes] = []
        at = self._cut(data, payloads)
        self.frames = data if at == len(data) else data[:at]
        self._rest = bytearray() if self.error else bytearray(data[at:])
        self._rest_offset += at
        return payloads

    def receive_eof(self) -> int:
        """Return the number of bytes of an unfinished frame at the end: 0 for a clean end."""
        return len(self._rest)

    def _cut(self, data: bytes, payloads: list[bytes]) -> int:
        """Append the payloads of the whole frames of `data`; return the end of the last one."""
        at = 0
        if self._is_big_endian is not None:
            at = _compiled.cut_frames(
                data, 0, self._header_length, self._is_big_endian, self._frame_bytes_max, payloads
            )
        # Handle here what stopped that: an unfinished frame or an impossible one.
        while True:
            payload_count = len(payloads)
            at = self._cut_singles(data, at, payloads)
            if len(payloads) - payload_count < self._singles:
                return at
            run_start, length = at, len(payloads[-1])
            if length == len(payloads[-2]):
                at = self._cut_run(data, at, length, payloads)
            # In a stream without runs, searches become rare. A run that ends with the data proves
            # nothing.
            size = self._header_length + length
            if at - run_start >= _RUN_MIN * size:
                self._singles = _SINGLES_MIN
            elif len(data) - at >= size:
                self._singles = min(2 * self._singles, _SINGLES_MAX)

    def _cut_singles(self, data: bytes, at: int, payloads: list[bytes]) -> int:
        """Cut some frames one by one from `at` on, until an unfinished or impossible one."""
        read_length, header_length = self._read_length, self._header_length
        payload_bytes_max, append = self._frame_bytes_max, payloads.append
        end = len(data)
        header_end = at + header_length
        self._bytes_needed = header_length
        for _ in repeat(None, self._singles):
            if header_end > end:
                break
            try:
                (length,) = read_length(data, at)
            except _BadHeaderError as bad:
                self._refuse(data, at, bad)
                break
            frame_end = header_end + length
            if frame_end > end or length > payload_bytes_max or length < 0:
                self._expect(data, at, length)
                break
            append(data[header_end:frame_end])
            at = frame_end
            header_end = at + header_length
        return at

    def _cut_run(self, data: bytes, at: int, length: int, payloads: list[bytes]) -> int:
        """Cut the frames from `at` on with the same header as the previous one, of `length`."""
        size = self._header_length + length
        header = data[at - size : at - length]
        count = _count_equal(data, at, size, header)
        many_end = at + count // _FRAMES_AT_ONCE * _FRAMES_AT_ONCE * size
        end = at + count * size
        view = memoryview(data)
        if many_end > at:
            many = _run_struct(self._header_length, length, _FRAMES_AT_ONCE)
            payloads += chain.from_iterable(many.iter_unpack(view[at:many_end]))
        if end > many_end:
            one = _run_struct(self._header_length, length, 1)
            payloads += [payload for (payload,) in one.iter_unpack(view[many_end:end])]
        return end

    def _expect(self, data: bytes, at: int, length: int) -> None:
        """Wait for the rest of the frame at `at`, or refuse it if its `length` is impossible."""
        if length < 0:
            self._refuse(data, at, _BadHeaderError(f"tells a payload of {length} bytes"))
        elif length > self._frame_bytes_max:
            reason = (
                f"tells a payload of {length} bytes, more than the {self._frame_bytes_max} allowed"
            )
            self._refuse(data, at, _BadHeaderError(reason))
        else:
            self._bytes_needed = self._header_length + length

    def _refuse(self, data: bytes, at: int, bad: "_BadHeaderError") -> None:
        header = data[at : at + self._header_length].hex(" ")
        self.error = FramingError(
            f"the header at byte {self._rest_offset + at} of the stream, {header}, {bad}",
            hint="check that both ends agree on the framing; longer frames need a higher limit",
        )
        self.error.__cause__ = bad.__cause__


class _BadHeaderError(Exception):
    """A header is wrong; the text is the second half of a sentence."""


_ReadLength = Callable[[bytes, int], tuple[int]]
"""Reads the length from the header at a position in some bytes."""


def _length_by_format(layout: str, header_length: int) -> _ReadLength:
    try:
        header = struct.Struct(layout)
        fields = header.unpack(bytes(header.size))
    except (struct.error, UnicodeError) as error:
        raise ValueError(f"{layout!r} is not a struct format: {error}") from error
    if header.size != header_length or len(fields) != 1 or type(fields[0]) is not int:
        raise ValueError(
            f"the struct format {layout!r} must be one integer of {header_length} bytes; "
            f"it is {len(fields)} values of {header.size} bytes"
        )
    return header.unpack_from


def _is_big_endian(read_length: _ReadLength, header_length: int) -> bool | None:
    """Return the byte order of a header that is an unsigned integer; ``None`` for others."""
    if header_length > 8 or read_length(b"\xff" * header_length, 0) != (256**header_length - 1,):
        return None
    return read_length(bytes(header_length - 1) + b"\x01", 0) == (1,)


def _length_by_function(function: Callable[[bytes], int], header_length: int) -> _ReadLength:
    def read_length(data: bytes, at: int) -> tuple[int]:
        try:
            length = function(data[at : at + header_length])
        except BaseException as error:
            reason = f"made payload_length fail: {error_text(error)}"
            raise _BadHeaderError(reason) from error
        if not isinstance(length, int) or isinstance(length, bool):
            raise _BadHeaderError(f"made payload_length return {a_type(length)}, not an int")
        return (length,)

    return read_length


@lru_cache(maxsize=64)
def _run_struct(header_length: int, length: int, frame_count: int) -> struct.Struct:
    """Return a struct that unpacks the payloads of `frame_count` successive frames."""
    return struct.Struct(f"{header_length}x{length}s" * frame_count)


def _count_equal(data: bytes, at: int, size: int, header: bytes) -> int:
    """Count the whole frames of `size` bytes from `at` on, up to the first with another header.

    One byte of all headers in the window is a single slice with a step. The window grows only while
    all headers are equal, so many short runs in much data cost no more than their length.
    """
    whole = (len(data) - at) // size
    count, window = 0, _WINDOW_FIRST
    while count < whole:
        start = at + count * size
        seen = min(window, whole - count)
        end = start + seen * size
        equal = seen
        for position, byte in enumerate(header):
            column = data[start + position : end : size]
            expected = bytes((byte,))
            if column != expected * seen:
                equal = min(equal, seen - len(column.lstrip(expected)))
        count += equal
        if equal < seen:
            break
        window *= _WINDOW_GROWTH
    return count
