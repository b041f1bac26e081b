"""Follows stock prices: the last, the lowest and the highest of each symbol, and their number."""

from dataclasses import dataclass

import wallaroo


@dataclass(frozen=True, slots=True)
class Price:
    """One price of one symbol, as it comes in."""

    symbol: str
    price: float


@dataclass(frozen=True, slots=True)
class Summary:
    """What is known of a symbol after a price: the record that goes out."""

    symbol: str
    last: float
    low: float
    high: float
    count: int


class Stock:
    """The state of one symbol."""

    def __init__(self) -> None:
        self.last = 0.0
        self.low = float("inf")
        self.high = 0.0
        self.count = 0

    def update(self, price: float) -> None:
        self.last = price
        self.low = min(self.low, price)
        self.high = max(self.high, price)
        self.count += 1


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_price(payload: bytes) -> Price | None:
    symbol, comma, price = payload.decode("ascii").partition(",")
    if not comma:
        return None  # no price in this line: it is dropped
    return Price(symbol, float(price))


@wallaroo.partition
def symbol_of(data: Price) -> str:
    return data.symbol


@wallaroo.state_computation("update stock")
def update_stock(data: Price, stock: Stock) -> tuple[Summary, bool]:
    stock.update(data.price)
    return Summary(data.symbol, stock.last, stock.low, stock.high, stock.count), True


@wallaroo.encoder
def encode_summary(data: Summary) -> str:
    return (
        f"{data.symbol} last {data.last:.2f} low {data.low:.2f} high {data.high:.2f}"
        f" after {data.count}\n"
    )


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    return (
        wallaroo.ApplicationBuilder("stocks")
        .new_pipeline("prices", wallaroo.TCPSourceConfig(in_host, in_port, decode_price))
        .to_state_partition(update_stock, Stock, "stock", symbol_of)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode_summary))
        .build()
    )
