"""What the sample input must give, worked out without Wallaroo."""

from collections import Counter, defaultdict
from pathlib import Path

SAMPLE = Path(__file__).with_name("prices.csv")


def expected_lines(sample: Path = SAMPLE) -> Counter[bytes]:
    """Return every output line, without its newline, and how often it comes."""
    seen: defaultdict[str, list[float]] = defaultdict(list)
    lines: Counter[bytes] = Counter()
    for row in sample.read_text(encoding="ascii").splitlines():
        if "," not in row:
            continue
        symbol, price = row.split(",")
        prices = seen[symbol]
        prices.append(float(price))
        low, high = min(prices), max(prices)
        line = f"{symbol} last {prices[-1]:.2f} low {low:.2f} high {high:.2f} after {len(prices)}"
        lines[line.encode()] += 1
    return lines
