"""Puts out each payload as a line."""

import wallaroo
from shared_codecs import decode_bytes, encode_bytes


def application_setup(args: list[str]) -> wallaroo.Application:
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    (sink,) = wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("echo")
        .new_pipeline("lines", wallaroo.TCPSourceConfig(*source, decode_bytes))
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode_bytes))
        .build()
    )
