# mypy: allow-untyped-defs, allow-untyped-calls
# pyright: basic
"""An application in the older class style, without annotations."""

import struct

import wallaroo


class LineDecoder:
    def header_length(self):
        return 4

    def payload_length(self, bs):
        return struct.unpack(">I", bs)[0]

    def decode(self, bs):
        return bs.decode()


class Split:
    def name(self):
        return "split"

    def compute_multi(self, data):
        return data.split()


class Lower:
    def name(self):
        return "lower"

    def compute(self, data):
        return data.lower()


class Count:
    def __init__(self):
        self.value = 0


class CountWords:
    def name(self):
        return "count words"

    def compute(self, data, state):
        state.value += 1
        return (f"{data} {state.value}", True)


class WordPartition:
    def partition(self, data):
        return data


class LineEncoder:
    def encode(self, data):
        return data + "\n"


def application_setup(args):
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    ab = wallaroo.ApplicationBuilder("class style")
    ab.new_pipeline("lines", wallaroo.TCPSourceConfig(in_host, in_port, LineDecoder()))
    ab.to(Split())
    ab.to_parallel(Lower())
    ab.to_state_partition(CountWords(), Count, "counts", WordPartition())
    ab.to_sink(wallaroo.TCPSinkConfig(out_host, out_port, LineEncoder()))
    return ab.build()
