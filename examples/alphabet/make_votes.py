"""Writes a file of votes: the same seed gives the same file.

Some letters are loved and some are not: the favourite gets about six times the votes of the last
one, so that some keys are busier than others, as in real data.
"""

import argparse
import random
import string
import struct
from pathlib import Path

FRAME = struct.Struct(">IcI")
PAYLOAD_BYTES = 5
VOTES_MAX = 10


def make_votes(count: int, seed: int) -> bytes:
    """Return ``count`` frames of a length header, a letter and 1 to ``VOTES_MAX`` votes."""
    chance = random.Random(seed)
    letters = chance.sample(string.ascii_lowercase, k=26)
    weights = [1 / (place + 4) for place in range(1, 27)]
    return b"".join(
        FRAME.pack(PAYLOAD_BYTES, letter.encode(), chance.randint(1, VOTES_MAX))
        for letter in chance.choices(letters, weights, k=count)
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Write a file of votes for letters.")
    parser.add_argument("--count", type=int, default=10_000, help="messages (default: 10000)")
    parser.add_argument("--seed", type=int, default=26, help="same seed, same file (default: 26)")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("votes.bin"))
    options = parser.parse_args()
    options.output.write_bytes(make_votes(options.count, options.seed))


if __name__ == "__main__":
    main()
