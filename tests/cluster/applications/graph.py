"""Merges a file and a TCP source, keeps two states for each key, splits, and shares a sink.

Each number is a line ``KEY NUMBER`` of ``all.txt``. An even one is there a second time, after the
states; an odd one is in ``odd.txt`` then.
"""

from collections import Counter

import wallaroo
from shared_codecs import decode_pair, encode_pair, key_of_pair

Totals = Counter[str]
Pair = tuple[str, int]


def add(pair: Pair, total: Totals) -> Pair:
    total["count"] += 1
    total["sum"] += pair[1]
    total["squares"] += pair[1] ** 2
    return pair


@wallaroo.state_computation("count", state=Counter)
def count(pair: Pair, total: Totals) -> Pair:
    return add(pair, total)


@wallaroo.state_computation("count again", state=Counter)
def count_again(pair: Pair, total: Totals) -> Pair:
    return add(pair, total)


def is_even(pair: Pair) -> bool:
    return pair[1] % 2 == 0


def same(pair: Pair) -> Pair:
    return pair


def application_setup(args: list[str]) -> wallaroo.Application:
    host, port = wallaroo.tcp_parse_input_addrs(args)[0]
    into_all = wallaroo.FileSinkConfig("all.txt", encode_pair)
    lines = wallaroo.source(
        "lines", wallaroo.FileSourceConfig("lines.txt", decode_pair, framing="newline")
    )
    sent = wallaroo.source("sent", wallaroo.TCPSourceConfig(host, port, decode_pair))
    merged = lines.merge(sent)
    # The record has left the owner of its key in between, and has to find the same state again.
    counted = merged.key_by(key_of_pair).to(count).to_parallel(same).to(count_again)
    even, odd = counted.split(is_even)
    return wallaroo.build_application(
        "graph",
        merged.to_sink(into_all),
        even.to_sink(into_all),
        odd.to_sink(wallaroo.FileSinkConfig("odd.txt", encode_pair)),
    )
