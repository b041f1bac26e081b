"""Rejects orders for symbols whose spread is too wide: two pipelines that share one state.

The market data pipeline keeps the latest bid and offer of each symbol. The orders pipeline looks
at them: an order for a symbol that is closed gives a line of output, any other order gives none.
A symbol is closed until its first quote comes, and while its spread is 5 % of the mid price or
more. Prices are whole cents.
"""

import struct
from dataclasses import dataclass

import wallaroo

CLOSED_FROM = 0.05
"""Spread as a part of the mid price from which on a symbol is closed."""

ORDER = struct.Struct(">Q4scII")
QUOTE = struct.Struct(">4sII")
SIDES = {b"B": "buy", b"S": "sell"}


@dataclass(frozen=True, slots=True)
class Order:
    """A wish to buy or to sell."""

    number: int
    symbol: str
    side: str
    quantity: int
    price: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What the market bids and offers for a symbol."""

    symbol: str
    bid: int
    offer: int


@dataclass(frozen=True, slots=True)
class Rejection:
    """An order that is not let through, and the quote that is the reason."""

    order: Order
    bid: int
    offer: int


class SymbolData:
    """The state of one symbol, which both pipelines see."""

    def __init__(self) -> None:
        self.bid = 0
        self.offer = 0
        self.is_closed = True

    def update(self, bid: int, offer: int) -> None:
        mid = (bid + offer) / 2
        self.bid = bid
        self.offer = offer
        self.is_closed = offer - bid >= CLOSED_FROM * mid


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_order(payload: bytes) -> Order:
    number, symbol, side, quantity, price = ORDER.unpack(payload)
    return Order(number, symbol.decode("ascii").rstrip(), SIDES[side], quantity, price)


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_quote(payload: bytes) -> Quote:
    symbol, bid, offer = QUOTE.unpack(payload)
    return Quote(symbol.decode("ascii").rstrip(), bid, offer)


@wallaroo.partition
def symbol_of(data: Order | Quote) -> str:
    return data.symbol


@wallaroo.state_computation("update symbol")
def update_symbol(quote: Quote, state: SymbolData) -> tuple[None, bool]:
    state.update(quote.bid, quote.offer)
    return None, True


@wallaroo.state_computation("check order")
def check_order(order: Order, state: SymbolData) -> tuple[Rejection | None, bool]:
    if state.is_closed:
        return Rejection(order, state.bid, state.offer), False
    return None, False


@wallaroo.encoder
def encode_rejection(rejection: Rejection) -> str:
    order = rejection.order
    return (
        f"order {order.number} to {order.side} {order.quantity} {order.symbol}"
        f" at {order.price / 100:.2f} rejected:"
        f" bid {rejection.bid / 100:.2f} offer {rejection.offer / 100:.2f}\n"
    )


def application_setup(args: list[str]) -> wallaroo.Application:
    (order_host, order_port), (market_host, market_port) = wallaroo.tcp_parse_input_addrs(args)
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    orders = wallaroo.TCPSourceConfig(order_host, order_port, decode_order)
    market_data = wallaroo.TCPSourceConfig(market_host, market_port, decode_quote)
    rejections = wallaroo.TCPSinkConfig(out_host, out_port, encode_rejection)
    return (
        wallaroo.ApplicationBuilder("market spread")
        .new_pipeline("orders", orders)
        .to_state_partition(check_order, SymbolData, "symbol-data", symbol_of)
        .to_sink(rejections)
        .new_pipeline("market data", market_data)
        .to_state_partition(update_symbol, SymbolData, "symbol-data", symbol_of)
        .done()
        .build()
    )
