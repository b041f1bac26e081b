# mypy: ignore-errors
"""Rows that are marked with the process that has classified them."""

import os
import struct

import wallaroo

PID = None


def application_setup(args):
    global PID
    PID = str(os.getpid())
    in_addr = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    pipeline = (
        wallaroo.source("Classifier", wallaroo.TCPSourceConfig(*in_addr, decode))
        .to(classify)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode))
    )
    return wallaroo.build_application("Parallel Application", pipeline)


@wallaroo.computation(name="Classify")
def classify(x):
    return x.decode() + ":" + PID


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(bs):
    return bs


@wallaroo.encoder
def encode(thing):
    x = str(thing).encode()
    return struct.pack(">I", len(x)) + x
