# mypy: allow-untyped-defs
# pyright: basic
"""An application as it was written before there were types: functions without annotations."""

from collections import Counter

import wallaroo


class Seen:
    def __init__(self):
        self.count = 0


class Numbers:
    def initial_value(self):
        return 1

    def apply(self, value):
        return value + 1 if value < 5 else None


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload):
    return payload.decode() or None


@wallaroo.computation("lower")
def lower(line):
    return line.lower()


@wallaroo.computation_multi("split")
def split(line):
    return line.split()


@wallaroo.computation("shown")
def shown(number):
    return str(number)


@wallaroo.partition
def itself(word):
    return word


@wallaroo.state_computation("count")
def count(word, counts):
    counts[word] += 1
    return f"{word} {counts[word]}", True


@wallaroo.state_computation_multi("repeat")
def repeat(line, seen):
    seen.count += 1
    return [line, f"{line} again"], True


@wallaroo.encoder
def encode(line):
    return line + "\n"


def application_setup(args):
    (in_host, in_port), *others = wallaroo.tcp_parse_input_addrs(args)
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    sink = wallaroo.TCPSinkConfig(out_host, out_port, encode)
    ab = wallaroo.ApplicationBuilder("untyped")
    ab.new_pipeline("lines", wallaroo.TCPSourceConfig(in_host, in_port, decode))
    ab.to(lower)
    ab.to(split)
    ab.to_state_partition(count, Counter, "counts", itself, ["a", "b"])
    ab.to_stateful(repeat, Seen, "seen")
    ab.to_sinks([sink, wallaroo.TCPSinkConfig(out_host, out_port, encode)])
    ab = ab.new_pipeline("numbers", wallaroo.GenSourceConfig(Numbers()))
    ab = ab.to_parallel(shown)
    ab = ab.to_state_partition(count, Counter, "counts", itself, ("a", "b"))
    ab = ab.to_sink(sink)
    for number, (host, port) in enumerate(others):
        source = wallaroo.TCPSourceConfig(host, int(port), decode)
        (
            ab.new_pipeline(f"other {number}", source)
            .to_state_partition(count, Counter, "counts", itself, ["a", "b"])
            .done()
        )
    return ab.build()
