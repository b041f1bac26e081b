"""Converts temperatures from Celsius to Fahrenheit, in two steps that form one chain."""

import struct

import wallaroo

CELSIUS = struct.Struct(">f")


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_celsius(payload: bytes) -> float:
    degrees: float = CELSIUS.unpack(payload)[0]
    return degrees


@wallaroo.computation("scale to Fahrenheit degrees")
def scale(celsius: float) -> float:
    return celsius * 9 / 5


@wallaroo.computation("move the zero")
def move_zero(degrees: float) -> float:
    return degrees + 32


@wallaroo.encoder
def encode_fahrenheit(fahrenheit: float) -> str:
    return f"{fahrenheit:.6f}\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    return (
        wallaroo.ApplicationBuilder("celsius to Fahrenheit")
        .new_pipeline("temperatures", wallaroo.TCPSourceConfig(in_host, in_port, decode_celsius))
        .to(scale)
        .to(move_zero)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode_fahrenheit))
        .build()
    )
