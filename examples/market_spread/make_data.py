"""Writes market_data.bin and orders.bin: the same seed gives the same files.

Each symbol wanders. The quotes of the calm ones stay close together; those of the nervous ones
drift apart again and again, and at the end they stay apart. One symbol is ordered and never quoted.
"""

import argparse
import random
import struct
from pathlib import Path

HERE = Path(__file__).parent
ORDER_FRAME = struct.Struct(">IQ4scII")
QUOTE_FRAME = struct.Struct(">I4sII")
HEADER_BYTES = 4

CALM = ("ASH", "BEAR", "COD", "DEER", "ELM", "FERN", "GULL", "HARE", "IVY", "JAY", "KELP", "LARK")
NERVOUS = ("MOTH", "NEWT", "OWL", "PIKE")
NEVER_QUOTED = "QUAY"

Mids = dict[str, int]
"""Cents in the middle between bid and offer, by symbol."""


def quote_frames(count: int, chance: random.Random, mids: Mids) -> bytes:
    """Return ``count`` quotes and leave in ``mids`` where the prices ended."""
    last_round = count - len(mids)
    frames = []
    for number in range(count):
        # The last round has a quote of every symbol, so that how it ends is no accident.
        symbol = list(mids)[number - last_round] if number >= last_round else chance.choice([*mids])
        mids[symbol] = max(500, round(mids[symbol] * chance.gauss(1, 0.004)))
        apart = symbol in NERVOUS and (number >= last_round or chance.random() < 0.3)
        spread = chance.uniform(0.055, 0.12) if apart else chance.uniform(0.002, 0.02)
        half = round(mids[symbol] * spread / 2)
        length = QUOTE_FRAME.size - HEADER_BYTES
        name = symbol.ljust(4).encode()
        frames.append(QUOTE_FRAME.pack(length, name, mids[symbol] - half, mids[symbol] + half))
    return b"".join(frames)


def order_frames(count: int, chance: random.Random, mids: Mids) -> bytes:
    """Return ``count`` orders near the prices in ``mids``, some for a symbol without any."""
    symbols = [*mids, NEVER_QUOTED]
    frames = []
    for number in range(1, count + 1):
        symbol = chance.choice(symbols)
        price = round(mids.get(symbol, 2500) * chance.gauss(1, 0.01))
        quantity = chance.randrange(10, 1000, 10)
        side = chance.choice((b"B", b"S"))
        length = ORDER_FRAME.size - HEADER_BYTES
        name = symbol.ljust(4).encode()
        frames.append(ORDER_FRAME.pack(length, number, name, side, quantity, price))
    return b"".join(frames)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write market data and orders.")
    parser.add_argument("--quotes", type=int, default=3000, help="default: 3000")
    parser.add_argument("--orders", type=int, default=2000, help="default: 2000")
    parser.add_argument("--seed", type=int, default=5, help="same seed, same files (default: 5)")
    options = parser.parse_args()
    chance = random.Random(options.seed)
    mids = {symbol: chance.randrange(1500, 20_000) for symbol in CALM + NERVOUS}
    quotes = quote_frames(options.quotes, chance, mids)
    (HERE / "market_data.bin").write_bytes(quotes)
    (HERE / "orders.bin").write_bytes(order_frames(options.orders, chance, mids))


if __name__ == "__main__":
    main()
