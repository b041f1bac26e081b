"""A decoder and a computation that drop records, and one with an argument that has a default."""

from dataclasses import dataclass

import wallaroo


@dataclass(frozen=True)
class Reading:
    sensor: str
    celsius: float


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> Reading | None:
    sensor, comma, celsius = payload.decode().partition(",")
    return Reading(sensor, float(celsius)) if comma else None


@wallaroo.computation("only warm ones")
def only_warm(reading: Reading) -> Reading | None:
    return reading if reading.celsius > 0 else None


@wallaroo.computation("to Fahrenheit")
def to_fahrenheit(reading: Reading, zero: float = 32.0) -> str:
    return f"{reading.sensor} {reading.celsius * 9 / 5 + zero:.1f}\n"


@wallaroo.encoder
def encode(line: str) -> bytes:
    return line.encode()


def application_setup(args: list[str]) -> wallaroo.Application:
    source = wallaroo.tcp_parse_input_addrs(args)[0]
    sink = wallaroo.tcp_parse_output_addrs(args)[0]
    return (
        wallaroo.ApplicationBuilder("readings")
        .new_pipeline("readings", wallaroo.TCPSourceConfig(*source, decode))
        .to(only_warm)
        .to_parallel(to_fahrenheit)
        .to_sink(wallaroo.TCPSinkConfig(*sink, encode))
        .build()
    )
