"""Computes the counts of words without Wallaroo, and compares them with what was written.

python expected.py counts.txt
"""

import sys
from collections import Counter
from pathlib import Path

LINES = Path(__file__).with_name("lines.txt")


def expected(text: str) -> list[str]:
    """Return the lines of the output, sorted: each word with each of its counts."""
    counts = Counter(text.lower().split())
    return sorted(f"{word} {n}" for word, count in counts.items() for n in range(1, count + 1))


def main(path: str) -> None:
    found = sorted(Path(path).read_text().splitlines())
    if found != expected(LINES.read_text()):
        sys.exit(f"{path} differs from what was expected")
    sys.stdout.write(f"{path} has all {len(found)} counts, each once\n")


if __name__ == "__main__":
    main(sys.argv[1])
