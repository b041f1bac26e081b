"""What the sample input must give, worked out without Wallaroo."""

import struct
from collections import Counter
from pathlib import Path

SAMPLE = Path(__file__).with_name("celsius.bin")


def expected_lines(sample: Path = SAMPLE) -> Counter[bytes]:
    """Return every output line, without its newline, and how often it comes."""
    frames = struct.iter_unpack(">If", sample.read_bytes())
    return Counter(b"%.6f" % (celsius * 9 / 5 + 32) for _length, celsius in frames)
