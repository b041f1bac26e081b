"""Two pipelines of different records that share a state and its partition function."""

from dataclasses import dataclass
from typing import Protocol

import wallaroo


class HasSymbol(Protocol):
    @property
    def symbol(self) -> str: ...


@dataclass(frozen=True)
class Quote:
    symbol: str
    price: int


@dataclass(frozen=True)
class Order:
    symbol: str
    limit: int


@dataclass
class Market:
    price: int = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_quote(payload: bytes) -> Quote:
    symbol, price = payload.decode().split(",")
    return Quote(symbol, int(price))


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_order(payload: bytes) -> Order:
    symbol, limit = payload.decode().split(",")
    return Order(symbol, int(limit))


@wallaroo.partition
def symbol_of(record: HasSymbol) -> str:
    return record.symbol


@wallaroo.state_computation("set price")
def set_price(quote: Quote, market: Market) -> tuple[None, bool]:
    market.price = quote.price
    return None, True


@wallaroo.state_computation("check limit")
def check_limit(order: Order, market: Market) -> tuple[Order | None, bool]:
    return (order if order.limit < market.price else None), False


@wallaroo.encoder
def encode(order: Order) -> str:
    return f"{order.symbol} {order.limit}\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    quotes, orders = wallaroo.tcp_parse_input_addrs(args)[:2]
    sink = wallaroo.tcp_parse_output_addrs(args)[0]
    return (
        wallaroo.ApplicationBuilder("limits")
        .new_pipeline("quotes", wallaroo.TCPSourceConfig(*quotes, decode_quote))
        .to_state_partition(set_price, Market, "market", symbol_of)
        .done()
        .new_pipeline("orders", wallaroo.TCPSourceConfig(*orders, decode_order))
        .to_state_partition(check_limit, Market, "market", symbol_of)
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode))
        .build()
    )
