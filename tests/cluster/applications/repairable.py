"""Fails at records that begin with ``bad`` until there is a file ``repaired``, and at a number."""

from pathlib import Path

import wallaroo
from shared_codecs import decode_text, encode_text


@wallaroo.computation("check")
def check(record: str) -> str:
    if record.startswith("bad") and not Path("repaired").exists():
        raise ValueError(f"cannot take {record}")
    return record


class OneNumber:
    def initial_value(self) -> int:
        return 1

    def apply(self, value: int) -> None:
        return None


@wallaroo.computation("count")
def count(record: int) -> str:
    raise ValueError(f"cannot count {record}")


def application_setup(args: list[str]) -> wallaroo.Application:
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    (out,) = wallaroo.tcp_parse_output_addrs(args)
    sink = wallaroo.TCPSinkConfig(*out, encode_text)
    builder = wallaroo.ApplicationBuilder("repairable")
    builder.new_pipeline("lines", wallaroo.TCPSourceConfig(*source, decode_text))
    builder.to(check).to_sink(sink)
    builder.new_pipeline("numbers", wallaroo.GenSourceConfig(OneNumber()))
    return builder.to(count).to_sink(sink).build()
