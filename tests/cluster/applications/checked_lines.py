"""Writes records to ``out.txt`` and fails at those that begin with ``bad``.

They come from ``in.txt``, or from a TCP source if an address is given with ``--in``.
"""

import wallaroo
from shared_codecs import decode_text, encode_text


@wallaroo.computation("check")
def check(text: str) -> str:
    if text.startswith("bad"):
        raise ValueError(text)
    return text


def source_in(args: list[str]) -> wallaroo.TCPSourceConfig | wallaroo.FileSourceConfig:
    if "--in" not in args:
        return wallaroo.FileSourceConfig("in.txt", decode_text, framing="newline")
    (address,) = wallaroo.tcp_parse_input_addrs(args)
    return wallaroo.TCPSourceConfig(*address, decode_text)


def application_setup(args: list[str]) -> wallaroo.Application:
    lines = wallaroo.ApplicationBuilder("lines")
    lines.new_pipeline("all lines", source_in(args)).to(check)
    return lines.to_sink(wallaroo.FileSinkConfig("out.txt", encode_text)).build()
