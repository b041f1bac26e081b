"""Counts records of a key in windows of ten seconds; a line is ``KEY SECOND``.

With the argument ``file`` it reads the file ``in``, otherwise it listens. Results are in ``out``.
"""

from typing import Any

import wallaroo
from shared_codecs import encode_text
from wallaroo import aggregate


@wallaroo.decoder
def decode(line: bytes) -> tuple[str, int]:
    key, second = line.decode().split()
    return key, int(second)


@wallaroo.timestamp("s")
def second_of(record: tuple[str, int]) -> int:
    return record[1]


def key_of(record: tuple[str, int]) -> str:
    return record[0]


def line_of(result: Any) -> str:
    return f"{result.key} {result.start // wallaroo.seconds(1)} {result.value} {result.kind}"


def application_setup(args: list[str]) -> wallaroo.Application:
    time = wallaroo.event_time(
        second_of, out_of_order=wallaroo.seconds(3), idle_after=wallaroo.seconds(2)
    )
    source: Any
    if "file" in args:
        source = wallaroo.FileSourceConfig("in", decode, "newline", time=time)
    else:
        source = wallaroo.TCPSourceConfig("127.0.0.1", 0, decode, framing="newline", time=time)
    window = wallaroo.tumbling(wallaroo.seconds(10)).over(aggregate.count())
    results = wallaroo.source("records", source).key_by(key_of).to(window).map(line_of)
    return wallaroo.build_application(
        "tumbled", results.to_sink(wallaroo.FileSinkConfig("out", encode_text))
    )
