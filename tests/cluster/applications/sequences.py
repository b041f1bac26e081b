"""Tells for each record its connection, its number there, and its number among all of its key."""

import struct

import wallaroo

RECORD = struct.Struct(">HHH")

Record = tuple[int, int, int]


class Seen:
    def __init__(self) -> None:
        self.count = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> Record:
    connection, key, number = RECORD.unpack(payload)
    return connection, key, number


@wallaroo.partition
def key_of(record: Record) -> int:
    return record[1]


@wallaroo.state_computation("count")
def count(record: Record, seen: Seen) -> tuple[tuple[int, int, int, int], bool]:
    seen.count += 1
    return (*record, seen.count), True


@wallaroo.encoder
def encode(record: tuple[int, int, int, int]) -> str:
    connection, key, number, seen_count = record
    return f"{connection} {key} {number} {seen_count}\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    (sink,) = wallaroo.tcp_parse_output_addrs(args)
    return (
        wallaroo.ApplicationBuilder("sequences")
        .new_pipeline("sequences", wallaroo.TCPSourceConfig(*source, decode))
        .to_state_partition(count, Seen, "seen", key_of)
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode))
        .build()
    )
