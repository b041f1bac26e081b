"""Counts and adds up the numbers of each key, from files and from a TCP source.

A result is a line with the key and how many numbers of it there are. ``--result number`` shows the
number instead, so that one sees the order of records. ``--width`` pads lines, so that all senders
soon notice a sink that does not read. ``--records-per-ms`` bounds the speed. ``--quiet-prefix``
names keys whose changes are not reported. ``--step`` and ``--state`` are names.
"""

import argparse
import time
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import wallaroo
from shared_codecs import decode_pair, key_of_pair

Totals = Counter[str]


class Result(NamedTuple):
    """What one record gives."""

    key: str
    number: int
    record_count: int


Count = wallaroo.StateComputation[[tuple[str, int], Totals], tuple[Result, bool]]


def counting(options: argparse.Namespace) -> Count:
    """Return the step that counts."""
    records_per_ms, quiet_prefix = options.records_per_ms, options.quiet_prefix
    record_count = 0

    @wallaroo.state_computation(options.step)
    def count(record: tuple[str, int], total: Totals) -> tuple[Result, bool]:
        nonlocal record_count
        record_count += 1
        if records_per_ms and record_count % records_per_ms == 0:
            time.sleep(0.001)
        key, number = record
        total["count"] += 1
        total["sum"] += number
        total["squares"] += number * number
        is_quiet = quiet_prefix is not None and key.startswith(quiet_prefix)
        return Result(key, number, total["count"]), not is_quiet

    return count


def encoding(options: argparse.Namespace) -> wallaroo.Encoder[[Result], str]:
    """Return what makes a line of a result."""
    shown: Callable[[Result], int] = {
        "count": lambda result: result.record_count,
        "number": lambda result: result.number,
    }[options.result]
    width = options.width

    @wallaroo.encoder
    def encode(result: Result) -> str:
        return f"{result.key} {shown(result)}".ljust(width) + "\n"

    return encode


def options_in(args: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lines", nargs=2, action="append", default=[])
    parser.add_argument("--sent")
    parser.add_argument("--records-per-ms", type=int, default=0)
    parser.add_argument("--quiet-prefix")
    parser.add_argument("--result", choices=["count", "number"], default="count")
    parser.add_argument("--width", type=int, default=0)
    parser.add_argument("--step", default="count")
    parser.add_argument("--state", default="totals")
    parser.add_argument("--in")
    parser.add_argument("--out")
    return parser.parse_args(args[1:])


def application_setup(args: list[str]) -> wallaroo.Application:
    options = options_in(args)
    count, encode = counting(options), encoding(options)
    builder = wallaroo.ApplicationBuilder("counts")
    for number, (path, output) in enumerate(options.lines):
        source = wallaroo.FileSourceConfig(path, decode_pair, framing="newline")
        builder.new_pipeline(f"lines {number}", source)
        builder.to_state_partition(count, Counter, options.state, key_of_pair)
        builder.to_sink(wallaroo.FileSinkConfig(output, encode))
    for host, port in wallaroo.tcp_parse_input_addrs(args) if "--in" in args else []:
        builder.new_pipeline("sent", wallaroo.TCPSourceConfig(host, port, decode_pair))
        builder.to_state_partition(count, Counter, options.state, key_of_pair)
        if options.sent:
            builder.to_sink(wallaroo.FileSinkConfig(options.sent, encode))
        else:
            [address] = wallaroo.tcp_parse_output_addrs(args)
            builder.to_sink(wallaroo.TCPSinkConfig(*address, encode))
    return builder.build()
