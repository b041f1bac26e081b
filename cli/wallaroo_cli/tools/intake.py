"""Turns the bytes of one connection into messages to count and pieces to write.

``receive`` gets the receiver's only buffer and how much of it was just filled. The pieces may point
into that buffer, so they have to be written before it is filled again.
"""

from collections.abc import Sequence
from typing import Protocol

from wallaroo.codec.framing import LengthFramer

Piece = bytes | bytearray | memoryview

HEADER_BYTES = 4
HELD_BYTES_MAX = 16 * 1024 * 1024
"""The part of an incomplete line beyond this length is written as it arrives."""


class Intake(Protocol):
    """Makes messages from the bytes of one connection."""

    def receive(self, buffer: bytearray, byte_count: int) -> tuple[int, Sequence[Piece]]:
        """Return how many messages ended in these bytes, and what to write now."""
        ...

    def receive_eof(self) -> Sequence[Piece]:
        """Return what is left to write when the connection has ended."""
        ...

    def problem(self) -> str:
        """Return why this connection cannot be read on; empty if it can."""
        ...

    def loss(self) -> str:
        """Return what the end of the connection cut off; empty if nothing was."""
        ...


class RawIntake:
    """Passes bytes on as they arrive and counts the lines that end in them."""

    def receive(self, buffer: bytearray, byte_count: int) -> tuple[int, Sequence[Piece]]:
        """Return the number of newlines, and all bytes."""
        return buffer.count(b"\n", 0, byte_count), [memoryview(buffer)[:byte_count]]

    def receive_eof(self) -> Sequence[Piece]:
        """Return nothing: no byte is ever held back."""
        return []

    def problem(self) -> str:
        """Return nothing: all bytes are valid."""
        return ""

    def loss(self) -> str:
        """Return nothing: no message can be cut off."""
        return ""


class LineIntake(RawIntake):
    """Holds an incomplete line back until its end arrives, so that lines do not mix."""

    def __init__(self) -> None:
        self._held = bytearray()

    def receive(self, buffer: bytearray, byte_count: int) -> tuple[int, Sequence[Piece]]:
        """Return the number of newlines, and everything up to the last of them."""
        end = buffer.rfind(b"\n", 0, byte_count) + 1
        if not end and len(self._held) + byte_count > HELD_BYTES_MAX:
            end = byte_count
        view = memoryview(buffer)
        if not end:
            self._held += view[:byte_count]
            return 0, []
        pieces: list[Piece] = [self._held, view[:end]] if self._held else [view[:end]]
        self._held = bytearray(view[end:byte_count])
        return buffer.count(b"\n", 0, end), pieces

    def receive_eof(self) -> Sequence[Piece]:
        """Return the last line, if no newline ended it."""
        held, self._held = self._held, bytearray()
        return [held] if held else []


class FrameIntake:
    """Removes the headers of frames and makes each payload a line."""

    def __init__(self, frame_bytes_max: int) -> None:
        self._framer = LengthFramer(HEADER_BYTES, ">I", frame_bytes_max)
        self._cut_off = 0

    def receive(self, buffer: bytearray, byte_count: int) -> tuple[int, Sequence[Piece]]:
        """Return the number of frames, and their payloads, each with a newline."""
        payloads = self._framer.receive_data(bytes(memoryview(buffer)[:byte_count]))
        return len(payloads), [b"\n".join(payloads), b"\n"] if payloads else []

    def receive_eof(self) -> Sequence[Piece]:
        """Return nothing: an incomplete frame is not a message."""
        self._cut_off = self._framer.receive_eof()
        return []

    def problem(self) -> str:
        """Return what was wrong with a header."""
        return self._framer.error.what if self._framer.error else ""

    def loss(self) -> str:
        """Return how much of an incomplete frame was received."""
        return f"ended with {self._cut_off} bytes of an unfinished frame" if self._cut_off else ""
