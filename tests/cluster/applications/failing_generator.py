"""Has a generator that makes no first value."""

import wallaroo
from shared_codecs import encode_bytes


class Numbers:
    def initial_value(self) -> bytes:
        raise ValueError("no first")

    def apply(self, value: bytes) -> bytes:
        return value


def application_setup(args: list[str]) -> wallaroo.Application:
    (sink,) = wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("failing")
        .new_pipeline("numbers", wallaroo.GenSourceConfig(Numbers()))
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode_bytes))
        .build()
    )
