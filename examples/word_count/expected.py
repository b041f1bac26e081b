"""What the sample input must give, worked out without Wallaroo."""

import re
from collections import Counter
from pathlib import Path

SAMPLE = Path(__file__).with_name("text.txt")


def expected_lines(sample: Path = SAMPLE) -> Counter[bytes]:
    """Return every output line, without its newline, and how often it comes.

    The lines of a word count up from 1, so each of them comes once. Where the words are split in
    parallel the order of the lines differs from run to run; which lines there are does not.
    """
    text = sample.read_text(encoding="utf-8").lower()
    totals = Counter(re.findall(r"[^\W_]+(?:'[^\W_]+)*", text))
    return Counter(
        f"{word} => {count}".encode()
        for word, total in totals.items()
        for count in range(1, total + 1)
    )
