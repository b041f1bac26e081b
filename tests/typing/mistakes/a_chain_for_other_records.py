"""Steps, functions and sinks of a pipeline that get other records than they take."""

import wallaroo


@wallaroo.decoder
def decode(line: bytes) -> str:
    return line.decode()


@wallaroo.encoder
def encode_number(number: int) -> str:
    return f"{number}\n"


@wallaroo.computation("length")
def length(line: str) -> int:
    return len(line)


@wallaroo.computation("upper")
def upper(line: str) -> str:
    return line.upper()


def is_even(number: int) -> bool:
    return number % 2 == 0


NUMBERS = wallaroo.TCPSinkConfig("127.0.0.1", 7002, encode_number)

lines = wallaroo.source("lines", wallaroo.TCPSourceConfig("127.0.0.1", 7010, decode))

lines.to(length).to_sink(NUMBERS)
lines.to(length).to(upper)  # mistake
lines.map(len).map(str.upper)  # mistake
lines.filter(is_even)  # mistake
lines.flat_map(len)  # mistake
lines.split(is_even)  # mistake
lines.to_sink(NUMBERS)  # mistake
lines.to(divmod)  # mistake
