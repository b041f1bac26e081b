"""What the sample input must give, worked out without Wallaroo."""

from collections import Counter
from pathlib import Path

SAMPLE = Path(__file__).with_name("lines.txt")


def expected_lines(sample: Path = SAMPLE) -> Counter[bytes]:
    """Return every output line, without its newline, and how often it comes."""
    lines = sample.read_text(encoding="utf-8").splitlines()
    return Counter(line[::-1].encode() for line in lines if line)
