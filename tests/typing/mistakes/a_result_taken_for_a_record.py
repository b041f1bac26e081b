"""Steps and sinks behind windows that are for the records that went in."""

import operator

import wallaroo
from wallaroo import aggregate, minutes


@wallaroo.computation("shout")
def shout(line: str) -> str:
    return line.upper()


@wallaroo.encoder
def encode(line: str) -> str:
    return line + "\n"


@wallaroo.encoder
def encode_result(result: wallaroo.Result[str]) -> str:
    return result.value


@wallaroo.aggregation("length", initial=int, merge=operator.add)
def length(line: str, so_far: int) -> int:
    return so_far + len(line)


MINUTES = wallaroo.tumbling(minutes(1))


def pipeline(lines: wallaroo.Pipeline[str]) -> None:
    lengths = lines.to(MINUTES.over(length))
    lengths.to(shout)  # mistake
    lengths.to_sink(wallaroo.TCPSinkConfig("127.0.0.1", 7002, encode))  # mistake
    lengths.to_sink(wallaroo.TCPSinkConfig("127.0.0.1", 7002, encode_result))  # mistake
    lengths.map(lambda result: result.value.upper())  # mistake
    lengths.map(lambda result: result.total)  # mistake
    lines.to(MINUTES.over(aggregate.collect())).map(lambda result: result.value.upper())  # mistake
