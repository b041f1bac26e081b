"""How the payloads of a source lie in a stream of bytes: with length headers, or as lines."""

from collections.abc import Callable
from dataclasses import dataclass

from wallaroo.codec.framers import Framer, new_framer


@dataclass(frozen=True, slots=True)
class PayloadFrames:
    """A header of this many bytes before each payload; 0 if payloads are lines."""

    header_length: int
    payload_length: str | Callable[[bytes], int]
    """Header to payload length: a ``struct`` format of one integer, or a function; or empty."""

    @property
    def are_lines(self) -> bool:
        """Whether payloads are lines, without length headers."""
        return self.header_length == 0

    def framer(self, payload_bytes_max: int) -> Framer:
        """Return a framer for one stream."""
        return new_framer(self.header_length, self.payload_length, payload_bytes_max)

    def cut(self, frames: bytes) -> list[bytes]:
        """Return the payloads of these frames; raises ``ValueError`` if they are not whole frames.

        No payload is too long: these were accepted when they arrived, even if the limit is lower
        today.
        """
        framer = self.framer(len(frames))
        payloads = framer.receive_data(frames)
        if framer.error or framer.buffered_bytes:
            raise ValueError("the bytes do not end with a frame")
        return payloads
