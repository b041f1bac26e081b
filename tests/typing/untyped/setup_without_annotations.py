# mypy: allow-untyped-defs, allow-incomplete-defs
# pyright: basic
"""Annotated functions, put together by a function without annotations and with bare names."""

import wallaroo


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.computation("length")
def length(line: str) -> int:
    return len(line)


@wallaroo.encoder
def encode(number: int) -> str:
    return f"{number}\n"


def source_at(host: str, port: str) -> wallaroo.TCPSourceConfig:
    return wallaroo.TCPSourceConfig(host, port, decode)


def sink_at(host: str, port: str) -> wallaroo.TCPSinkConfig:
    return wallaroo.TCPSinkConfig(host, port, encode)


def with_lengths(builder: wallaroo.ApplicationBuilder) -> wallaroo.ApplicationBuilder:
    return builder.to(length)


def application_setup(args: list[str]):
    source = source_at(*wallaroo.tcp_parse_input_addrs(args)[0])
    sink = sink_at(*wallaroo.tcp_parse_output_addrs(args)[0])
    builder = wallaroo.ApplicationBuilder("lengths").new_pipeline("lines", source)
    builder = with_lengths(builder)
    return builder.to_sink(sink).build()
