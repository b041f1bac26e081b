"""What the sample input must give, worked out without Wallaroo.

The two files race when they are sent at the same time. This is the result where all of
market_data.bin has been worked through before the first order is sent.
"""

import struct
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent
MARKET_DATA = HERE / "market_data.bin"
ORDERS = HERE / "orders.bin"


def expected_lines(market_data: Path = MARKET_DATA, orders: Path = ORDERS) -> Counter[bytes]:
    """Return every output line, without its newline, and how often it comes."""
    quotes = {
        symbol: (bid, offer)
        for _length, symbol, bid, offer in struct.iter_unpack(">I4sII", market_data.read_bytes())
    }
    lines: Counter[bytes] = Counter()
    for order in struct.iter_unpack(">IQ4scII", orders.read_bytes()):
        _length, number, symbol, side, quantity, price = order
        bid, offer = quotes.get(symbol, (0, 0))
        if symbol in quotes and (offer - bid) * 40 < offer + bid:
            continue
        name = symbol.decode().rstrip()
        wish = f"{'buy' if side == b'B' else 'sell'} {quantity} {name} at {price / 100:.2f}"
        reason = f"bid {bid / 100:.2f} offer {offer / 100:.2f}"
        lines[f"order {number} to {wish} rejected: {reason}".encode()] += 1
    return lines
