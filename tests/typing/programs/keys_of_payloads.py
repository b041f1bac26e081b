"""Keys in the payload, a key function in class style, and a generator with a name."""

import wallaroo


class Numbers:
    def initial_value(self) -> int:
        return 1

    def apply(self, value: int) -> int | None:
        return value + 1 if value < 100 else None


class LastDigit:
    def extract_key(self, number: int) -> int:
        return number % 10


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> int:
    return int(payload.split()[1])


@wallaroo.encoder
def encode(number: int) -> str:
    return f"{number}\n"


class Total:
    value = 0


@wallaroo.state_computation("add", Total)
def add(number: int, total: Total) -> int:
    total.value += number
    return total.value


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    sink = wallaroo.TCPSinkConfig(out_host, out_port, encode)
    amounts = wallaroo.source("amounts", wallaroo.TCPSourceConfig("in", in_host, in_port, decode))
    numbers = wallaroo.source("numbers", wallaroo.GenSourceConfig("numbers", Numbers()))
    return wallaroo.build_application(
        "totals",
        amounts.key_by(wallaroo.payload_key(field=0, separator=b" ")).to(add).to_sink(sink),
        numbers.key_by(LastDigit()).to(add).named("digits").to_sink(sink),
    )
