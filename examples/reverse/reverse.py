"""Turns each line of text around: the smallest application there is."""

import wallaroo


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_line(payload: bytes) -> str:
    return payload.decode("utf-8")


@wallaroo.computation("reverse")
def reverse(line: str) -> str:
    return line[::-1]


@wallaroo.encoder
def encode_line(line: str) -> str:
    return line + "\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    return (
        wallaroo.ApplicationBuilder("reverse")
        .new_pipeline("lines", wallaroo.TCPSourceConfig(in_host, in_port, decode_line))
        .to(reverse)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode_line))
        .build()
    )
