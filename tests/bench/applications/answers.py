"""Answers for records: ``plain`` from a function, ``task`` from a coroutine function.

A ``call``, too, is a coroutine function; it takes 50 ms, and 200 of them may be under way.
"""

import asyncio
import struct
from typing import Any

import wallaroo

CALL_S = 0.05
CAPACITY = 200
KEY = struct.Struct(">I")
Record = tuple[str, int]


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> Record:
    (number,) = KEY.unpack_from(payload)
    return f"k{number}", number


@wallaroo.computation("answer")
def plain(record: Record) -> Record:
    return record


@wallaroo.computation_async("answer", capacity=CAPACITY)
async def task(record: Record) -> Record:
    return record


@wallaroo.computation_async("answer", capacity=CAPACITY)
async def call(record: Record) -> Record:
    await asyncio.sleep(CALL_S)
    return record


@wallaroo.encoder
def encode(record: Record) -> bytes:
    return b"%s %d\n" % (record[0].encode(), record[1])


STEPS: dict[str, Any] = {"plain": plain, "task": task, "call": call}


def application_setup(args: list[str]) -> Any:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    (step,) = (step for name, step in STEPS.items() if name in args)
    return (
        wallaroo.ApplicationBuilder("answers")
        .new_pipeline("records", wallaroo.TCPSourceConfig(in_host, in_port, decode))
        .to(step)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode))
        .build()
    )


class Bare:
    """The functions in a loop, without an answer."""

    def __init__(self, _: list[str]) -> None:
        pass

    def run(self, payloads: list[bytes]) -> list[bytes]:
        decode_record, answer, encode_record = decode.function, plain.function, encode.function
        return [encode_record(answer(decode_record(payload))) for payload in payloads]
