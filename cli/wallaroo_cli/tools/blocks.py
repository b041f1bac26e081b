"""Messages in blocks, ready to be sent; if possible without an object for each message."""

from collections.abc import Sequence
from itertools import chain
from struct import Struct
from typing import Protocol, Self

HEADER = Struct(">I")
"""The header of a framed message: the payload's length, unsigned, big-endian."""


class Block(Protocol):
    """One or more messages in a row. Slices are blocks as well."""

    def __len__(self) -> int:
        """How many messages."""
        ...

    def __getitem__(self, part: slice) -> Self:
        """Return some of the messages; any step is allowed."""
        ...

    def wire(self) -> bytes | memoryview:
        """All messages back to back, as they are sent."""
        ...

    def payloads(self) -> Sequence[bytes]:
        """Yield each message as ``--write`` writes it."""
        ...

    def times(self, count: int) -> Self:
        """The same messages, ``count`` times over."""
        ...

    def count_within(self, byte_count: int) -> int:
        """How many messages the first ``byte_count`` bytes of the wire hold whole."""
        ...


class FixedBlock:
    """Messages of one size, kept in the piece of memory that they were read into."""

    def __init__(self, packed: bytes | memoryview, size: int) -> None:
        assert len(packed) % size == 0, "a block holds whole messages"
        self._packed = memoryview(packed)
        self._size = size

    def __len__(self) -> int:
        return len(self._packed) // self._size

    def __getitem__(self, part: slice) -> "FixedBlock":
        start, stop, step = part.indices(len(self))
        if step == 1:
            return FixedBlock(self._packed[start * self._size : stop * self._size], self._size)
        return FixedBlock(
            self._every(step, self._packed[start * self._size : stop * self._size]), self._size
        )

    def _every(self, step: int, packed: memoryview) -> bytes:
        """Return the first of each ``step`` messages in ``packed``."""
        stride = step * self._size
        padded = bytes(packed) + bytes(-len(packed) % stride)
        picked = Struct(f"{self._size}s{stride - self._size}x").iter_unpack(padded)
        return b"".join([message for (message,) in picked])

    def wire(self) -> bytes | memoryview:
        """All messages back to back, as they are sent."""
        return self._packed

    def payloads(self) -> Sequence[bytes]:
        """Yield each message with its own header."""
        return [message for (message,) in Struct(f"{self._size}s").iter_unpack(self._packed)]

    def times(self, count: int) -> "FixedBlock":
        """The same messages, ``count`` times over."""
        return FixedBlock(bytes(self._packed) * count, self._size)

    def count_within(self, byte_count: int) -> int:
        """How many messages the first ``byte_count`` bytes of the wire hold whole."""
        return byte_count // self._size


class FramedBlock:
    """Messages of any size; each gets a header when it is sent."""

    def __init__(self, payloads: Sequence[bytes]) -> None:
        self._payloads = payloads
        self._wire = b""

    def __len__(self) -> int:
        return len(self._payloads)

    def __getitem__(self, part: slice) -> "FramedBlock":
        if part.indices(len(self)) == (0, len(self), 1):
            return self
        return FramedBlock(self._payloads[part])

    def wire(self) -> bytes | memoryview:
        """All messages back to back, each behind its header."""
        # Kept, because the blocks of a small file that is repeated are sent many times.
        if not self._wire:
            headers = map(HEADER.pack, map(len, self._payloads))
            self._wire = b"".join(chain.from_iterable(zip(headers, self._payloads, strict=True)))
        return self._wire

    def payloads(self) -> Sequence[bytes]:
        """Yield each message without its header."""
        return self._payloads

    def times(self, count: int) -> "FramedBlock":
        """The same messages, ``count`` times over."""
        return FramedBlock(list(self._payloads) * count)

    def count_within(self, byte_count: int) -> int:
        """How many messages the first ``byte_count`` bytes of the wire hold whole."""
        count = 0
        for payload in self._payloads:
            byte_count -= HEADER.size + len(payload)
            if byte_count < 0:
                break
            count += 1
        return count
