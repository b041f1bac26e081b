"""Passes the time a record was sent at through a keyed state, to measure how long it took.

A payload is ``u64 nanoseconds | u32 key``; what comes out is the eight bytes of the time. With the
argument ``many`` keys are texts and not declared, for any number of them.
"""

import struct
from typing import Any

import wallaroo

STAMP = struct.Struct(">8sI")
KEY_COUNT = 26


class Count:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> Any:
    return STAMP.unpack(payload)


@wallaroo.partition
def by_key(record: Any) -> Any:
    return record[1]


@wallaroo.partition
def by_name(record: Any) -> str:
    return f"k{record[1]}"


@wallaroo.state_computation("count")
def count(record: Any, state: Count) -> tuple[bytes, bool]:
    state.value += 1
    return record[0], True


@wallaroo.encoder
def encode(stamp: bytes) -> bytes:
    return stamp


def application_setup(args: list[str]) -> Any:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    source = wallaroo.TCPSourceConfig(in_host, in_port, decode)
    builder = wallaroo.ApplicationBuilder("stamps").new_pipeline("stamps", source)
    if "many" in args:
        builder.to_state_partition(count, Count, "counts", by_name)
    else:
        builder.to_state_partition(count, Count, "counts", by_key, list(range(KEY_COUNT)))
    return builder.to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode)).build()
