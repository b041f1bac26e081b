"""Multi computations: lists, lists with gaps, and ``None`` for an empty list."""

import wallaroo


@wallaroo.decoder
def decode(line: bytes) -> str:
    return line.decode()


@wallaroo.computation_multi("split")
def split(line: str) -> list[str]:
    return line.split()


@wallaroo.computation_multi("lengths of long words")
def lengths(word: str) -> list[int] | None:
    return [len(word)] if len(word) > 3 else None


@wallaroo.computation_multi("halve even numbers")
def halve(number: int) -> list[int | None]:
    return [number, number // 2 if number % 2 == 0 else None]


@wallaroo.computation("double")
def double(number: int) -> int:
    return number * 2


@wallaroo.encoder
def encode(number: int) -> str:
    return f"{number}\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    host, port = wallaroo.tcp_parse_input_addrs(args)[0]
    source = wallaroo.TCPSourceConfig(host, port, decode, framing="newline")
    return (
        wallaroo.ApplicationBuilder("lengths")
        .new_pipeline("lines", source)
        .to(split)
        .to_parallel(lengths)
        .to(halve)
        .to(double)
        .to_sink(wallaroo.TCPSinkConfig("127.0.0.1", 7002, encode))
        .build()
    )
