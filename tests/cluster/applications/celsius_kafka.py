"""Converts Celsius to Fahrenheit from topic to topic, in the form of the original's example."""

import struct

import wallaroo


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(value: bytes) -> float:
    (celsius,) = struct.unpack(">f", value)
    return float(celsius)


@wallaroo.computation("multiply by 1.8")
def multiply(celsius: float) -> float:
    return celsius * 1.8


@wallaroo.computation("add 32")
def add(fahrenheit: float) -> float:
    return fahrenheit + 32


@wallaroo.encoder
def encode(fahrenheit: float) -> tuple[bytes, bytes, None]:
    return b"%.1f" % fahrenheit, b"fahrenheit", None


def application_setup(args: list[str]) -> wallaroo.Application:
    return (
        wallaroo.ApplicationBuilder("Celsius to Fahrenheit with Kafka")
        .new_pipeline("convert", wallaroo.DefaultKafkaSourceCLIParser(decode))
        .to(multiply)
        .to(add)
        .to_sink(wallaroo.DefaultKafkaSinkCLIParser(encode))
        .build()
    )
