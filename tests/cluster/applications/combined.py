"""Counts records of a key in windows of ten seconds, and says whether they were counted where they
were read, or where the result is; a line is ``KEY SECOND``.

That is not something an aggregation should look at. Results are in the file ``out``.
"""

import os
from typing import Any

import wallaroo
from shared_codecs import encode_text
from tumbled import decode, key_of, second_of
from wallaroo import aggregate


def process_of(record: tuple[str, int]) -> int:
    return os.getpid()


def line_of(result: Any) -> str:
    value = result.value
    travelled = "combined" if value["processes"] - {os.getpid()} else "whole"
    return f"{result.key} {result.start // wallaroo.seconds(1)} {value['count']} {travelled}"


def application_setup(args: list[str]) -> wallaroo.Application:
    time = wallaroo.event_time(
        second_of, out_of_order=wallaroo.seconds(3), idle_after=wallaroo.seconds(2)
    )
    source = wallaroo.TCPSourceConfig("127.0.0.1", 0, decode, framing="newline", time=time)
    both = aggregate.several(count=aggregate.count(), processes=aggregate.distinct(process_of))
    window = wallaroo.tumbling(wallaroo.seconds(10)).over(both)
    results = wallaroo.source("records", source).key_by(key_of).to(window).map(line_of)
    return wallaroo.build_application(
        "combined", results.to_sink(wallaroo.FileSinkConfig("out", encode_text))
    )
