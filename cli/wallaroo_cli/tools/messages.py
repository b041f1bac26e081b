"""The messages that the sender sends: integers, text files or binary files, once or repeatedly.

All of them are generators of blocks. Files are read a block at a time, so memory stays flat
whatever their size.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import cycle, repeat
from pathlib import Path
from struct import Struct

from wallaroo.codec.framing import LengthFramer
from wallaroo.errors import ConfigError
from wallaroo_cli.tools.blocks import HEADER, Block, FixedBlock, FramedBlock

MESSAGE_BYTES_MAX = 16 * 1024 * 1024
REPEAT_BYTES_MAX = 4 * 1024 * 1024
"""If all files together are at most this large, they are read once and repeated from memory."""
U64_MAX = 2**64 - 1
INTEGER_BYTES = 16
"""About the size of a framed integer, to turn the size of a block into a count."""

Report = Callable[[str], None]
"""Shows a sentence to the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """What the user wants to send."""

    files: tuple[str, ...] = ()
    count: int | None = None
    is_repeated: bool = False
    is_binary: bool = False
    size: int | None = None
    """The bytes of a record, for binary files."""
    is_variable_size: bool = False
    is_u64: bool = False
    start_from: int = 0
    partition: str = ""

    def problems(self) -> Iterator[str]:
        """Yield what is wrong with these settings."""
        yield from self._file_problems() if self.files else self._integer_problems()
        if self.size is not None and self.is_variable_size:
            yield "--msg-size and --variable-size cannot be used together"
        if not self.is_binary and (self.size is not None or self.is_variable_size):
            yield "--msg-size and --variable-size go with --binary"
        if self.count is None and (self.is_repeated or not self.files):
            yield "--messages is missing: without it only files without --repeat have an end"

    def _file_problems(self) -> Iterator[str]:
        for name in self.files:
            if Path(name).is_dir() or not os.access(name, os.R_OK):
                yield f"--file {name!r} is not a readable file"
        if self.is_binary and self.size is None and not self.is_variable_size:
            yield "--binary requires either --msg-size or --variable-size"
        if self.is_u64 or self.start_from or self.partition:
            yield "--u64, --start-from and --partition make integers and do not go with --file"

    def _integer_problems(self) -> Iterator[str]:
        if self.is_repeated:
            yield "--repeat repeats files: it needs --file"
        if self.partition and not self.is_u64:
            yield "--partition goes with --u64"
        if self.start_from + (self.count or 0) > U64_MAX:
            yield f"--start-from and --messages count beyond {U64_MAX:_}"
        # Frames of --u64 are binary and of one size, so options that say this are accepted.
        frame_bytes = HEADER.size + 8 + len(self.partition.encode())
        if self.is_binary and not self.is_u64:
            yield "--binary describes files: it needs --file"
        elif self.is_u64 and self.size not in {None, frame_bytes}:
            yield f"--msg-size is {self.size}, but a message of --u64 has {frame_bytes} bytes"

    def blocks(self, block_bytes: int, report: Report) -> Iterator[Block]:
        """Yield the messages in blocks of about ``block_bytes``; ``report`` gets warnings."""
        if not self.files:
            return _integers(self, block_bytes)
        report_once = cache(report)

        def read_all() -> Iterator[Block]:
            for name in self.files:
                try:
                    yield from _read(self, name, block_bytes, report_once)
                except OSError as error:
                    raise ConfigError(f"cannot read {name!r}: {error.strerror}") from error

        return _repeated(read_all, block_bytes) if self.is_repeated else read_all()


def _integers(messages: Messages, block_bytes: int) -> Iterator[Block]:
    """Yield numbers, from the one after ``start_from`` on, as text or in the form of ``--u64``."""
    partition = messages.partition.encode()
    pack = Struct(f">Q{len(partition)}s").pack
    assert messages.count is not None
    end = messages.start_from + messages.count + 1
    step = max(1, block_bytes // INTEGER_BYTES)
    for first in range(messages.start_from + 1, end, step):
        numbers = range(first, min(first + step, end))
        if messages.is_u64:
            yield FramedBlock(list(map(pack, numbers, repeat(partition))))
        else:
            yield FramedBlock([b"%d" % number for number in numbers])


def _read(messages: Messages, name: str, block_bytes: int, report: Report) -> Iterator[Block]:
    if not messages.is_binary:
        return _read_lines(name, block_bytes)
    if messages.is_variable_size:
        return _read_frames(name, block_bytes)
    assert messages.size is not None
    return _read_records(name, messages.size, block_bytes, report)


def _read_lines(name: str, block_bytes: int) -> Iterator[Block]:
    r"""Yield the lines of a text file without ``\n`` or ``\r\n``; empty ones do not count."""
    held = b""
    for piece in _pieces(name, block_bytes):
        whole, newline, tail = piece.rpartition(b"\n")
        if not newline:
            held += piece
            _check_line(held, name)
            continue
        text = held + whole + newline
        held = tail
        if lines := [*filter(None, text.replace(b"\r\n", b"\n").split(b"\n"))]:
            yield FramedBlock(lines)
    if held:
        yield FramedBlock([held])


def _check_line(line: bytes, name: str) -> None:
    if len(line) > MESSAGE_BYTES_MAX:
        raise ConfigError(
            f"{name!r} has a line of more than {MESSAGE_BYTES_MAX:_} bytes",
            hint="is it a binary file? then add --binary and --msg-size or --variable-size",
        )


def _read_records(name: str, size: int, block_bytes: int, report: Report) -> Iterator[Block]:
    """Yield records of ``size`` bytes as they are; a short last one too, with a warning."""
    held = b""
    for piece in _pieces(name, max(size, block_bytes // size * size)):
        packed = held + piece
        whole = len(packed) // size * size
        held = packed[whole:]
        if whole:
            yield FixedBlock(memoryview(packed)[:whole], size)
    if held:
        report(f"warning: the last record of {name!r} has {len(held)} bytes instead of {size}")
        yield FixedBlock(held, len(held))


def _read_frames(name: str, block_bytes: int) -> Iterator[Block]:
    """Yield the payloads of a file that has a header before each of them."""
    framer = LengthFramer(HEADER.size, HEADER.format, MESSAGE_BYTES_MAX)
    offset = 0
    for piece in _pieces(name, block_bytes):
        offset += len(piece)
        if payloads := framer.receive_data(piece):
            yield FramedBlock(payloads)
        if framer.error:
            raise ConfigError(
                f"{name!r} is not made of records with a header: {framer.error.what}",
                hint="records of --variable-size are a 4-byte big-endian length and a payload",
            )
    if cut_off := framer.receive_eof():
        raise ConfigError(
            f"{name!r} is cut off: the record at byte {offset - cut_off} is not whole",
            hint="repair the file, or send the records before it with --messages",
        )


def _pieces(name: str, byte_count: int) -> Iterator[bytes]:
    # Unbuffered, so that data of a pipe is sent as it arrives, not when a block is full.
    with open(name, "rb", buffering=0) as file:
        while piece := file.read(byte_count):
            yield piece


def _repeated(read_all: Callable[[], Iterator[Block]], block_bytes: int) -> Iterator[Block]:
    """Yield the files again and again; small ones are kept in memory."""
    kept: list[Block] = []
    byte_count = 0
    for block in read_all():
        yield block
        byte_count += len(block.wire())
        if byte_count <= REPEAT_BYTES_MAX:
            kept.append(block)
    if byte_count and byte_count <= REPEAT_BYTES_MAX:
        yield from cycle(_enlarged(kept, max(1, block_bytes // byte_count)))
    kept.clear()
    while byte_count:
        byte_count = 0
        for block in read_all():
            yield block
            byte_count += len(block)
    raise ConfigError("the files hold no messages, so there is nothing to repeat")


def _enlarged(blocks: list[Block], times: int) -> list[Block]:
    """Make one file of a few messages as cheap to repeat as a large one."""
    return [blocks[0].times(times)] if len(blocks) == 1 else blocks
