"""The one file format of checkpoints and journals: a header, then blocks with checksums.

::

    header   magic (8 bytes), version (u8), kind (u8)
    block    length of the body (u32), check of the length (u32), xxh3_64 of the body (u64), body

All numbers are big endian. The length has a check of its own: otherwise a damaged one that points
beyond the end of the file could not be distinguished from a block that a crash cut short, and
everything behind it would count as never written.
"""

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple, TypeAlias

import xxhash

from wallaroo.describing import with_article
from wallaroo.errors import DamagedFileError

MAGIC = b"\x89wallaro"
"""Its first byte is not text, so that no text file begins like this."""

VERSION = 1
HEADER_BYTES = 10
BLOCK_HEAD_BYTES = 16

BODY_BYTES_MAX = 1 << 30
"""Longest body; the longest frame that a source accepts has half of this."""

HINT_RESTORE = (
    "restore the file from a copy, or go back with --from-checkpoint N to a checkpoint that does "
    "not need it: wallaroo-checkpoints verify tells which are whole"
)

HINT_FOREIGN = "give each cluster a folder or bucket prefix of its own, with nothing else in it"

Buffer: TypeAlias = bytes | bytearray | memoryview

_HEADER = struct.Struct(">8sBB")
_HEAD = struct.Struct(">IIQ")
_LENGTH = struct.Struct(">I")


class FileKind(IntEnum):
    """What a file holds; a number is never reused for something else."""

    MANIFEST = 1
    PART = 2
    JOURNAL = 3
    OWNER = 4
    OUTBOX = 5


class Block(NamedTuple):
    """A body and the offset in the file at which its block begins."""

    offset: int
    body: bytes


def encode_header(kind: FileKind) -> bytes:
    """Return the ``HEADER_BYTES`` that a file of `kind` begins with."""
    return _HEADER.pack(MAGIC, VERSION, kind)


def encode_block(body: bytes) -> bytes:
    """Return the block of `body`; ``ValueError`` if it has more than ``BODY_BYTES_MAX``."""
    return encode_block_head(body) + body


def encode_block_head(*pieces: Buffer) -> bytes:
    """Return the head of a block whose body is all `pieces`, one after the other."""
    length = sum(map(len, pieces))
    if length > BODY_BYTES_MAX:
        raise ValueError(f"a block of {length} bytes is longer than the {BODY_BYTES_MAX} allowed")
    checksum = xxhash.xxh3_64()
    for piece in pieces:
        checksum.update(piece)
    return _HEAD.pack(length, _length_check(length), checksum.intdigest())


def check_header(
    data: Buffer, kind: FileKind, file: str, hint: str = HINT_RESTORE, foreign: str = HINT_FOREIGN
) -> None:
    """Raise ``DamagedFileError`` unless `data` begins as a file of `kind` that can be read here.

    `hint` says what to do about a damaged file, `foreign` about a file that is not ours.
    """
    if len(data) < HEADER_BYTES:
        raise DamagedFileError(file, 0, f"it has {len(data)} bytes, fewer than a header", hint)
    magic, version, found = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise DamagedFileError(
            file,
            0,
            f"it is not a file of wallaroo: it begins with {bytes(data[:8]).hex(' ')}",
            foreign,
        )
    if version != VERSION:
        raise DamagedFileError(
            file,
            8,
            f"it has format version {version}; this release reads version {VERSION}",
            "run the release of wallaroo-streams that wrote it",
        )
    if found != kind:
        what = f"it is of kind {found}, not {with_article(kind.name.lower())} ({kind})"
        raise DamagedFileError(file, 9, what, hint)


class BlockReader:
    """Cuts the bytes of one file, which arrive in pieces, into blocks.

    `offset` is the offset in `file` of the first byte, which must be the start of a block. A check
    that does not match raises ``DamagedFileError``. The caller judges an unfinished block at the
    end of the file by ``tail_bytes``.
    """

    def __init__(self, file: str, offset: int, hint: str = HINT_RESTORE) -> None:
        self._file = file
        self._hint = hint
        self._rest = bytearray()
        self.offset = offset
        """Offset of the first block that was not returned yet."""

    @property
    def tail_bytes(self) -> int:
        """Number of bytes behind the last whole block; at the end of the file, a torn block."""
        return len(self._rest)

    def receive_data(self, data: Buffer) -> Iterator[Block]:
        """Yield the blocks that `data` completes, in order; consume all before the next call."""
        self._rest += data
        rest, at = self._rest, 0
        try:
            while (end := self._block_end(at)) is not None:
                block = Block(self.offset, bytes(rest[at + BLOCK_HEAD_BYTES : end]))
                self._check_body(block, at)
                self.offset += end - at
                at = end
                yield block
        finally:
            del rest[:at]

    def _block_end(self, at: int) -> int | None:
        """Return where the block at `at` ends in the buffer; ``None`` if it is incomplete."""
        if len(self._rest) - at < BLOCK_HEAD_BYTES:
            return None
        length, check, _ = _HEAD.unpack_from(self._rest, at)
        if check != _length_check(length) or length > BODY_BYTES_MAX:
            if not self._rest[at:].lstrip(b"\0"):
                return None  # a file system may extend a file before it writes the content
            raise self._damage(f"the length of a block ({length}) does not match its check")
        end: int = at + BLOCK_HEAD_BYTES + length
        return end if end <= len(self._rest) else None

    def _check_body(self, block: Block, at: int) -> None:
        expected = _HEAD.unpack_from(self._rest, at)[2]
        found = xxhash.xxh3_64_intdigest(block.body)
        if found != expected:
            raise self._damage(
                f"a block of {len(block.body)} bytes has checksum {found:016x}, "
                f"written was {expected:016x}"
            )

    def _damage(self, what: str) -> DamagedFileError:
        return DamagedFileError(self._file, self.offset, what, self._hint)


def read_blocks(data: Buffer, kind: FileKind, file: str) -> Iterator[Block]:
    """Yield the blocks of a whole file of `kind`.

    Raises ``DamagedFileError`` for a foreign file, a newer version, a check that does not match,
    and a file that ends within a block.
    """
    check_header(data, kind, file)
    reader = BlockReader(file, HEADER_BYTES)
    yield from reader.receive_data(memoryview(data)[HEADER_BYTES:])
    if reader.tail_bytes:
        raise DamagedFileError(
            file,
            reader.offset,
            f"it ends within a block, after {reader.tail_bytes} bytes of it",
            HINT_RESTORE,
        )


def _length_check(length: int) -> int:
    return xxhash.xxh32_intdigest(_LENGTH.pack(length))
