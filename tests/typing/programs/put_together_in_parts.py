"""Helpers of the application that take and return builders, sources, sinks and computations."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import wallaroo


@wallaroo.decoder
def decode(line: bytes) -> str:
    return line.decode()


@wallaroo.partition
def itself(word: str) -> str:
    return word


@wallaroo.state_computation("count")
def count(word: str, counts: Counter[str]) -> tuple[int, bool]:
    counts[word] += 1
    return counts[word], True


@wallaroo.encoder
def encode(number: int) -> str:
    return f"{number}\n"


def longer_than(length: int) -> wallaroo.Computation[[str], str | None]:
    @wallaroo.computation(f"longer than {length}")
    def keep_long(word: str) -> str | None:
        return word if len(word) > length else None

    return keep_long


def counted(
    words: wallaroo.ApplicationBuilder[str], state: str
) -> wallaroo.ApplicationBuilder[int]:
    return words.to_state_partition(count, Counter, state, itself)


def numbers_to(host: str, port: str) -> wallaroo.SinkConfig[int]:
    return wallaroo.TCPSinkConfig(host, port, encode)


def lines_from(host: str, port: str) -> wallaroo.SourceConfig[str]:
    return wallaroo.TCPSourceConfig(host, port, decode, framing="newline")


def with_steps(
    builder: wallaroo.ApplicationBuilder[Any], steps: list[Callable[[str], str]]
) -> wallaroo.ApplicationBuilder[Any]:
    for step in steps:
        builder = builder.to(wallaroo.computation(step.__name__)(step))
    return builder


def any_source(at: tuple[str, str]) -> wallaroo.SourceConfig:
    return lines_from(*at)


def any_builder(builder: wallaroo.ApplicationBuilder) -> wallaroo.ApplicationBuilder:
    return builder.to(longer_than(3))


def application_setup(args: list[str]) -> wallaroo.Application:
    addresses = wallaroo.tcp_parse_input_addrs(args)
    sink = wallaroo.tcp_parse_output_addrs(args)[0]
    builder = wallaroo.ApplicationBuilder("parts")
    for number, address in enumerate(addresses):
        words = builder.new_pipeline(f"words {number}", lines_from(*address)).to(longer_than(2))
        counted(words, f"counts {number}").to_sink(numbers_to(*sink))
    host, port = addresses[0]
    any_builder(builder.new_pipeline("more words", any_source((host, str(int(port) + 2)))))
    with_steps(builder, [str.lower, str.strip])
    builder.to_state_partition(count, Counter, "more counts", itself).to_sink(numbers_to(*sink))
    return builder.build()
