"""Counts and sums orders by customer; an order is a JSON document with a list of items.

With the argument ``payload-key`` the key is declared as a name in the payload.
"""

import json
from typing import Any

import wallaroo

Order = dict[str, Any]


class Sales:
    __slots__ = ("amount", "order_count")

    def __init__(self) -> None:
        self.order_count = 0
        self.amount = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> Order:
    order: Order = json.loads(payload)
    return order


@wallaroo.partition
def by_customer(order: Order) -> str:
    customer: str = order["customer"]
    return customer


@wallaroo.state_computation("add order")
def add_order(order: Order, sales: Sales) -> tuple[tuple[str, int, int], bool]:
    sales.order_count += 1
    sales.amount += sum([item["count"] * item["price"] for item in order["items"]])
    return (order["customer"], sales.order_count, sales.amount), True


@wallaroo.encoder
def encode(total: tuple[str, int, int]) -> bytes:
    return b"%s %d %d\n" % (total[0].encode(), total[1], total[2])


def application_setup(args: list[str]) -> Any:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    source = wallaroo.TCPSourceConfig(in_host, in_port, decode)
    key: Any = wallaroo.payload_key(json="customer") if "payload-key" in args else by_customer
    return (
        wallaroo.ApplicationBuilder("documents")
        .new_pipeline("orders", source)
        .to_state_partition(add_order, Sales, "sales", key)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode))
        .build()
    )


class Bare:
    """The same functions in one loop."""

    def __init__(self, args: list[str]) -> None:
        self.states: dict[str, Sales] = {}

    def run(self, payloads: list[bytes]) -> list[bytes]:
        decode_order, partition = decode.function, by_customer.function
        compute, encode_total = add_order.function, encode.function
        states = self.states
        output = []
        for payload in payloads:
            order = decode_order(payload)
            key = partition(order)
            sales = states.get(key)
            if sales is None:
                sales = states[key] = Sales()
            total, _ = compute(order, sales)
            output.append(encode_total(total))
        return output
