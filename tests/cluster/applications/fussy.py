"""Each of its steps fails at some record; ``--with-steps`` adds two steps before the state.

Steps that return what they must not are annotated with ``Any``: type checkers refuse them.
"""

import sys
from typing import Any

import wallaroo


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    if payload.startswith(b"undecodable"):
        raise ValueError("no such letter")
    if payload == b"leave":
        sys.exit(7)
    return payload.decode()


@wallaroo.computation("trim")
def trim(record: str) -> str:
    if record.startswith("untrimmable"):
        raise OverflowError("too long")
    return record.strip()


@wallaroo.computation_multi("split")
def split(record: str) -> Any:
    return (record,) if record.startswith("tuple") else [record]


@wallaroo.partition
def key_of(record: str) -> Any:
    if record.startswith("keyless"):
        raise LookupError("no key")
    return 1.5 if record.startswith("float") else record.partition(" ")[0]


class Count:
    def __init__(self) -> None:
        self.count = 0


@wallaroo.state_computation("count")
def count(record: str, state: Count) -> Any:
    if record.endswith("explode"):
        raise ArithmeticError("cannot count this")
    if record.endswith("no pair"):
        return record
    state.count += 1
    return f"{record} => {state.count}", True


@wallaroo.encoder
def encode(record: str) -> str:
    if "unwritable" in record:
        raise TypeError("not to be written")
    return record + "\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    (source,) = wallaroo.tcp_parse_input_addrs(args)
    (sink,) = wallaroo.tcp_parse_output_addrs(args)
    builder = wallaroo.ApplicationBuilder("fussy")
    builder.new_pipeline("lines", wallaroo.TCPSourceConfig(*source, decode))
    if "--with-steps" in args:
        builder.to(trim).to(split)
    return (
        builder.to_state_partition(count, Count, "counts", key_of)
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode))
        .build()
    )
