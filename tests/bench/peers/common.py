"""What all peers share: the measured functions, the input, and the count at the end.

The functions are those of ``examples/alphabet`` themselves, taken out of Wallaroo's decorators. The
input is its file of votes, again and again. Frames are cut in blocks by ``struct``, the fastest way
in plain Python, and payloads are new objects in every batch, as from a socket.
"""

import json
import os
import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from struct import Struct

import alphabet

from tests.bench.peers.subtree import REPORT_VARIABLE, ROOT_VARIABLE, used_cpu_s

VOTES = Path(__file__).parents[3] / "examples" / "alphabet" / "votes.bin"
FRAME = Struct(">I5s")
BATCH_RECORDS = 1_000

decode = alphabet.decode_votes.function
letter_of = alphabet.letter_of.function
add_votes = alphabet.add_votes.function
encode = alphabet.encode_votes.function
TotalVotes = alphabet.TotalVotes
Votes = alphabet.Votes


def payload_batches(record_count: int) -> Iterator[list[bytes]]:
    """Return the payloads of so many records, in lists of at most a thousand."""
    data = VOTES.read_bytes()
    block_bytes = BATCH_RECORDS * FRAME.size
    blocks = cycle(
        [data[start : start + block_bytes] for start in range(0, len(data), block_bytes)]
    )
    remaining = record_count
    while remaining:
        block = next(blocks)[: remaining * FRAME.size]
        yield [payload for _, payload in FRAME.iter_unpack(block)]
        remaining -= len(block) // FRAME.size


def report(record_count: int) -> None:
    """Say how many records arrived at a sink and what the peer has used until now.

    All processes of a peer may, each for its own sink; the last one's time and CPU count.
    """
    line = {
        "record_count": record_count,
        "cpu_s": used_cpu_s(int(os.environ[ROOT_VARIABLE])),
        "at_s": time.monotonic(),
    }
    with Path(os.environ[REPORT_VARIABLE]).open("a") as file:
        file.write(f"{json.dumps(line)}\n")
