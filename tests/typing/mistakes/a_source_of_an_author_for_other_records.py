"""A source of numbers before a step for text, and sinks that do not fit."""

from collections.abc import Iterator
from typing import Any

import wallaroo


class Numbers(wallaroo.PartitionedSource[int]):
    def read(self, partition: str, position: Any) -> Iterator[wallaroo.Batch[int]]:
        yield wallaroo.Batch([1], position=1)


class Inbox(wallaroo.PushedSource[int]):
    def receive(self) -> Iterator[wallaroo.Delivery[int]]:
        yield wallaroo.Delivery(1)

    def ack(self, tags: object) -> None: ...


class Lines(wallaroo.Sink[str]):
    def write(self, records: list[Any]) -> None: ...


class Integers(wallaroo.Sink[int]):
    def write(self, records: list[Any]) -> None: ...


@wallaroo.computation("shorten")
def shorten(line: str) -> str:
    return line[:80]


NUMBERS = wallaroo.ApplicationBuilder("numbers").new_pipeline("numbers", Numbers())

NUMBERS.to(shorten)  # mistake
NUMBERS.to_sink(Lines())  # mistake
NUMBERS.to_sinks([Integers(), Lines()])  # mistake
NUMBERS.to_sink(Integers())
NUMBERS.new_pipeline("inbox", Inbox()).to(shorten)  # mistake
NUMBERS.new_pipeline("lines", Lines())  # mistake
NUMBERS.to_sink(Inbox())  # mistake
