"""Keys of types that have no owner, and things that are not keys."""

import wallaroo


class Price:
    def __init__(self, text: str) -> None:
        self.value = float(text)


@wallaroo.decoder
def decode(line: bytes) -> Price:
    return Price(line.decode())


@wallaroo.key_extractor
def letter_of(line: str) -> str:
    return line[0]


def cents(price: Price) -> int:
    return round(price.value * 100)


def maybe(price: Price) -> str | None:
    return None


prices = wallaroo.source("prices", wallaroo.TCPSourceConfig("127.0.0.1", 7010, decode))

prices.key_by(cents)
prices.key_by(lambda price: price.value)  # mistake
prices.key_by(maybe)  # mistake
prices.key_by(letter_of)  # mistake
prices.key_by("symbol")  # mistake
