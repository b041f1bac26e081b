"""Pipelines where applications belong, sinks for sources, and a builder that is merged."""

import wallaroo


@wallaroo.decoder
def decode(line: bytes) -> str:
    return line.decode()


@wallaroo.encoder
def encode(line: str) -> str:
    return line + "\n"


SOURCE = wallaroo.TCPSourceConfig("127.0.0.1", 7010, decode)
SINK = wallaroo.TCPSinkConfig("127.0.0.1", 7002, encode)

lines = wallaroo.source("lines", SOURCE)

wallaroo.source("lines", SINK)  # mistake
lines.to_sink(SOURCE)  # mistake
lines.merge(SOURCE)  # mistake
lines.merge(wallaroo.ApplicationBuilder("other").new_pipeline("q", SOURCE))  # mistake
wallaroo.build_application("app", SINK)  # mistake


def application_setup(args: list[str]) -> wallaroo.Application:
    return lines.to_sink(SINK)  # mistake
