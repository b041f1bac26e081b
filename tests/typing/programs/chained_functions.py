"""Plain functions and lambdas as steps of a pipeline."""

import wallaroo


@wallaroo.decoder
def decode(line: bytes) -> str:
    return line.decode()


@wallaroo.encoder
def encode(number: int) -> str:
    return f"{number}\n"


@wallaroo.computation("half")
def half(number: int) -> int | None:
    return number // 2 if number % 2 == 0 else None


def to_number(word: str) -> int | None:
    return int(word) if word.isdigit() else None


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    lines = wallaroo.TCPSourceConfig(in_host, in_port, decode, framing="newline")
    numbers = (
        wallaroo.source("lines", lines)
        .filter(lambda line: not line.startswith("#"))
        .flat_map(str.split)
        .map(to_number)
        .to(lambda number: number + 1)
        .named("one more")
        .to(half)
        .to_parallel(abs)
    )
    return wallaroo.build_application(
        "numbers", numbers.to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode))
    )
