"""What the sample input must give, worked out without Wallaroo."""

import struct
from collections import Counter
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "alphabet" / "votes.bin"


def expected_lines(sample: Path = SAMPLE) -> Counter[bytes]:
    """Return every output line, without its newline, and how often it comes."""
    totals: Counter[bytes] = Counter()
    lines: Counter[bytes] = Counter()
    for _length, letter, votes in struct.iter_unpack(">IcI", sample.read_bytes()):
        totals[letter] += votes
        lines[b"%s => %d" % (letter, totals[letter])] += 1
    return lines
