"""Sources that are written with the classes for authors."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

import wallaroo


class Numbers(wallaroo.PartitionedSource[int]):
    def partitions(self) -> list[str]:
        return ["even", "odd"]

    def read(self, partition: str, position: Any) -> Iterator[wallaroo.Batch[int] | None]:
        first = (0 if partition == "even" else 1) if position is None else position
        yield wallaroo.Batch([first, first + 2], position=first + 4)


class Inbox(wallaroo.PushedSource[int]):
    runs = "once"

    async def receive(self) -> AsyncIterator[wallaroo.Delivery[int]]:
        yield wallaroo.Delivery(1, tag="first")

    async def ack(self, tags: Sequence[Any]) -> None: ...


@wallaroo.computation("double")
def double(number: int) -> int:
    return 2 * number


@wallaroo.encoder
def encode(number: int) -> str:
    return f"{number}\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    host, port = wallaroo.tcp_parse_output_addrs(args)[0]
    sink = wallaroo.TCPSinkConfig(host, port, encode)
    return (
        wallaroo.ApplicationBuilder("numbers")
        .new_pipeline("numbers", Numbers())
        .to(double)
        .to_sink(sink)
        .new_pipeline("inbox", Inbox())
        .to(double)
        .to_sink(sink)
        .build()
    )
