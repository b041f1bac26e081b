"""The protocol of a framer, which cuts the stream of one connection or file."""

from collections.abc import Callable
from typing import Protocol

from wallaroo.codec.framing import LengthFramer
from wallaroo.codec.lines import LineFramer
from wallaroo.errors import FramingError


class Framer(Protocol):
    """Collects the bytes of one stream and returns the payloads of whole frames."""

    error: FramingError | None
    """Why the stream cannot be cut any further."""
    frames: bytes
    """The bytes that the payloads of the last call were cut from, as they arrived."""

    @property
    def end_at_eof(self) -> bytes:
        """Bytes that complete an unfinished frame at the end of the stream; empty for none."""
        ...

    @property
    def buffered_bytes(self) -> int:
        """Number of bytes that are kept of an unfinished frame."""
        ...

    @property
    def rest(self) -> bytes:
        """The start of an unfinished frame."""
        ...

    @property
    def rest_offset(self) -> int:
        """Offset in the stream at which the unfinished frame, or the next one, starts."""
        ...

    def receive_data(self, data: bytes) -> list[bytes]:
        """Return the payloads of the frames that ``data`` completes, in order."""
        ...


def new_framer(
    header_length: int,
    payload_length: str | Callable[[bytes], int],
    payload_bytes_max: int,
) -> Framer:
    """Return a framer for frames with such a header, or for lines if ``header_length`` is 0."""
    if header_length == 0:
        return LineFramer(payload_bytes_max)
    return LengthFramer(header_length, payload_length, payload_bytes_max)
