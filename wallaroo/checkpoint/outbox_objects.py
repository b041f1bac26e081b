"""An object of an outbox: results for one sink, in the order in which they were made.

Each block's body is the number of its results (u32) and a pickle of a list of them. Results may be
objects of any class, and a sink gets them with the types that the encoder gave them. As with state
objects, results are known to be readable before they count as written.
"""

import pickle
import struct
from collections.abc import Iterator
from typing import Any

from wallaroo.checkpoint.blocks import (
    HEADER_BYTES,
    HINT_RESTORE,
    FileKind,
    encode_block,
    encode_header,
    read_blocks,
)
from wallaroo.checkpoint.manifest import OutboxBatch
from wallaroo.checkpoint.pickling import StatePickler
from wallaroo.describing import error_text
from wallaroo.errors import DamagedFileError

OUTBOX_HEADER = encode_header(FileKind.OUTBOX)
"""The first bytes of an object; blocks follow."""

_COUNT = struct.Struct(">I")


def encode_results(results: list[Any], pickler: StatePickler) -> bytes:
    """Return a block of `results`.

    Raises ``NotReadableError``, or what the user's code raises, if one cannot be pickled.
    """
    return encode_block(_COUNT.pack(len(results)) + pickler.pickle_together(results))


def read_results(data: bytes, batch: OutboxBatch, file: str) -> list[Any]:
    """Return the results in the object of `batch`; raise what ``read_blocks_of`` raises."""
    return [each for results in read_blocks_of(data, batch, file) for each in results]


def read_blocks_of(data: bytes, batch: OutboxBatch, file: str) -> Iterator[list[Any]]:
    """Yield the results of each block in the object of `batch`, whose checksums have to match.

    Raises ``DamagedFileError`` if they cannot be read. Reading runs code of the application, since
    its classes decide how they unpickle.
    """
    for offset, count, pickled in _blocks(data, batch, file):
        try:
            found = pickle.loads(pickled)
        except BaseException as error:
            # How objects unpickle is user code, and so is a sys.exit() in it.
            raise _damage(file, offset, f"a result cannot be read: {error_text(error)}") from error
        if type(found) is not list or len(found) != count:
            raise _damage(file, offset, f"a block does not have {count} results")
        yield found


def check_batch(data: bytes, batch: OutboxBatch, file: str) -> None:
    """Raise ``DamagedFileError`` unless this is the whole object of `batch`; unpickle nothing."""
    for _ in _blocks(data, batch, file):
        pass


def _blocks(data: bytes, batch: OutboxBatch, file: str) -> Iterator[tuple[int, int, bytes]]:
    """Yield offset, number of results and their pickle for each block."""
    total = 0
    for block in read_blocks(data, FileKind.OUTBOX, file):
        if len(block.body) < _COUNT.size:
            raise _damage(file, block.offset, "a block is shorter than its number of results")
        (count,) = _COUNT.unpack_from(block.body)
        total += count
        yield block.offset, count, block.body[_COUNT.size :]
    if total != batch.record_count or len(data) != batch.byte_count:
        raise _damage(
            file,
            HEADER_BYTES,
            f"it has {total} results in {len(data)} bytes, written were {batch.record_count} in "
            f"{batch.byte_count}",
        )


def _damage(file: str, offset: int, what: str) -> DamagedFileError:
    return DamagedFileError(file, offset, what, HINT_RESTORE)
