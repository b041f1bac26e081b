"""A step that takes other records than the one before it gives."""

import wallaroo


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.computation("length")
def length(line: str) -> int:
    return len(line)


@wallaroo.computation_multi("split")
def split(line: str) -> list[str]:
    return line.split()


SOURCE = wallaroo.TCPSourceConfig("127.0.0.1", 7010, decode)

lengths = wallaroo.ApplicationBuilder("lines").new_pipeline("lines", SOURCE).to(length)

lengths.to(split)  # mistake
lengths.to_parallel(length)  # mistake
