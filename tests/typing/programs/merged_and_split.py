"""Pipelines that are merged, split and used twice; records of two types become one union."""

import wallaroo


class Order:
    def __init__(self, symbol: str) -> None:
        self.symbol = symbol


class Price:
    def __init__(self, symbol: str, price: float) -> None:
        self.symbol = symbol
        self.price = price


class Market:
    def __init__(self) -> None:
        self.price: float | None = None


@wallaroo.decoder
def decode_order(line: bytes) -> Order:
    return Order(line.decode())


@wallaroo.decoder
def decode_price(line: bytes) -> Price:
    symbol, price = line.decode().split()
    return Price(symbol, float(price))


@wallaroo.key_extractor
def symbol_of(record: Order | Price) -> str:
    return record.symbol


@wallaroo.state_computation("check", Market)
def check(record: Order | Price, market: Market) -> str | None:
    if isinstance(record, Price):
        market.price = record.price
        return None
    return f"{record.symbol} {market.price}"


@wallaroo.encoder
def encode(line: str) -> str:
    return line + "\n"


@wallaroo.encoder
def encode_price(price: Price) -> str:
    return f"{price.symbol} {price.price}\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    (order_host, order_port), (price_host, price_port), *_ = wallaroo.tcp_parse_input_addrs(args)
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    sink = wallaroo.TCPSinkConfig(out_host, out_port, encode)
    orders = wallaroo.source(
        "orders", wallaroo.TCPSourceConfig(order_host, order_port, decode_order, framing="newline")
    )
    prices = wallaroo.source(
        "prices", wallaroo.TCPSourceConfig(price_host, price_port, decode_price, framing="newline")
    )
    checked = orders.merge(prices).key_by(symbol_of).to(check)
    unknown, known = checked.split(lambda line: line.endswith("None"))
    high, low = prices.split(lambda price: price.price > 1000)
    return wallaroo.build_application(
        "market",
        unknown.map(str.upper).to_sink(sink),
        known.to_sink(sink),
        high.to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode_price, name="high")),
        low.done(),
    )
