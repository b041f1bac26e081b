"""State by key: a class of its own, and keys of all kinds, some of them declared."""

import enum
from dataclasses import dataclass

import wallaroo


class Side(enum.StrEnum):
    BUY = "buy"
    SELL = "sell"


@dataclass(frozen=True)
class Order:
    side: Side
    symbol: str
    quantity: int


@dataclass
class Totals:
    count: int = 0
    quantity: int = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> Order:
    side, symbol, quantity = payload.decode().split(",")
    return Order(Side(side), symbol, int(quantity))


@wallaroo.partition
def by_side(order: Order) -> Side:
    return order.side


@wallaroo.partition
def by_side_and_symbol(order: Order) -> tuple[str, str]:
    return order.side, order.symbol


@wallaroo.partition
def by_size(order: Order) -> int:
    return order.quantity // 100


@wallaroo.state_computation("add")
def add(order: Order, totals: Totals) -> tuple[Order, bool]:
    totals.count += 1
    totals.quantity += order.quantity
    return order, True


@wallaroo.state_computation("count")
def count(_order: Order, totals: Totals) -> tuple[int | None, bool]:
    totals.count += 1
    return totals.count if totals.count > 1 else None, True


@wallaroo.encoder
def encode(number: int) -> bytes:
    return b"%d\n" % number


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    pairs = [(Side.BUY, "FJRD"), (Side.SELL, "FJRD")]
    return (
        wallaroo.ApplicationBuilder("orders")
        .new_pipeline("orders", wallaroo.TCPSourceConfig(in_host, in_port, decode))
        .to_state_partition(add, Totals, "by side", by_side, ["buy", "sell"])
        .to_state_partition(add, Totals, "by pair", by_side_and_symbol, pairs)
        .to_state_partition(count, Totals, "by size", by_size, (0, 1, 2))
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode))
        .build()
    )
