"""A source where a sink is needed, a sink for other records, and the other way round."""

import wallaroo


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.encoder
def encode(line: str) -> str:
    return line + "\n"


@wallaroo.encoder
def encode_number(number: int) -> str:
    return f"{number}\n"


SOURCE = wallaroo.TCPSourceConfig("127.0.0.1", 7010, decode)
SINK = wallaroo.TCPSinkConfig("127.0.0.1", 7002, encode)
NUMBERS = wallaroo.TCPSinkConfig("127.0.0.1", 7002, encode_number)

lines = wallaroo.ApplicationBuilder("lines").new_pipeline("lines", SOURCE)

lines.to_sink(SOURCE)  # mistake
lines.to_sinks([SINK, SOURCE])  # mistake
lines.to_sink(NUMBERS)  # mistake
lines.to_sinks([SINK, NUMBERS])  # mistake
lines.new_pipeline("more lines", SINK)  # mistake
