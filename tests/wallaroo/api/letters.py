"""What most tests of the builder begin with: an open pipeline, a state computation and a sink."""

import wallaroo
from wallaroo import ApplicationBuilder, TCPSinkConfig, TCPSourceConfig


@wallaroo.decoder(4, ">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.encoder
def encode(record: str) -> bytes:
    return record.encode()


@wallaroo.partition
def by_letter(record: str) -> str:
    return record[0]


@wallaroo.state_computation("count")
def count(record: str, state: dict[str, int]) -> tuple[str, bool]:
    return "1", True


SOURCE = TCPSourceConfig("127.0.0.1", "0", decode)
SINK = TCPSinkConfig("127.0.0.1", "5555", encode)


def opened() -> ApplicationBuilder:
    return ApplicationBuilder("app").new_pipeline("p", SOURCE)
