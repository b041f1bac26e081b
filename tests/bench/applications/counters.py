"""Counts records by a key of any number of values; payloads of any size.

A payload is ``u32 key`` and padding; the argument ``work`` burns CPU in a
parallel step instead of counting.
"""

import struct
import time
from typing import Any

import wallaroo

KEY = struct.Struct(">I")
WORK_S = 100e-6


class Count:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> tuple[str, int]:
    (number,) = KEY.unpack_from(payload)
    return f"k{number}", len(payload)


@wallaroo.partition
def by_key(record: tuple[str, int]) -> str:
    return record[0]


@wallaroo.state_computation("count")
def count(record: tuple[str, int], state: Count) -> tuple[tuple[str, int], bool]:
    state.value += 1
    return (record[0], state.value), True


@wallaroo.computation("work")
def work(record: tuple[str, int]) -> tuple[str, int]:
    """Use 100 microseconds of this process's CPU time, however busy the machine is."""
    until = time.thread_time() + WORK_S
    while time.thread_time() < until:
        pass
    return record


@wallaroo.encoder
def encode(record: tuple[str, int]) -> bytes:
    return b"%s %d\n" % (record[0].encode(), record[1])


def application_setup(args: list[str]) -> Any:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    source = wallaroo.TCPSourceConfig(in_host, in_port, decode)
    builder = wallaroo.ApplicationBuilder("counters").new_pipeline("records", source)
    if "work" in args:
        builder.to_parallel(work)
    else:
        builder.to_state_partition(count, Count, "counts", by_key)
    return builder.to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode)).build()


class Bare:
    """The same functions in one loop."""

    def __init__(self, args: list[str]) -> None:
        self.states: dict[str, Any] = {}
        self.works = "work" in args

    def run(self, payloads: list[bytes]) -> list[bytes]:
        if self.works:
            return [encode.function(work.function(decode.function(p))) for p in payloads]
        decode_record, partition = decode.function, by_key.function
        compute, encode_record = count.function, encode.function
        states = self.states
        output = []
        for payload in payloads:
            record = decode_record(payload)
            key = partition(record)
            state = states.get(key)
            if state is None:
                state = states[key] = Count()
            total, _ = compute(record, state)
            output.append(encode_record(total))
        return output
