"""Objects of the older class style, with annotations."""

import struct

import wallaroo


class LineDecoder:
    def header_length(self) -> int:
        return 4

    def payload_length(self, bs: bytes) -> int:
        (length,) = struct.unpack(">I", bs)
        return int(length)

    def decode(self, bs: bytes) -> str:
        return bs.decode()


class Split:
    def name(self) -> str:
        return "split"

    def compute_multi(self, data: str) -> list[str]:
        return data.split()


class Lower:
    def name(self) -> str:
        return "lower"

    def compute(self, data: str) -> str | None:
        return data.lower() or None


class Count:
    def __init__(self) -> None:
        self.value = 0


class CountWords:
    def name(self) -> str:
        return "count words"

    def compute(self, data: str, state: Count) -> tuple[str, bool]:
        state.value += 1
        return f"{data} {state.value}", True


class Repeat:
    def name(self) -> str:
        return "repeat"

    def compute_multi(self, data: str, state: Count) -> tuple[list[str], bool]:
        state.value += 1
        return [data] * state.value, True


class WordPartition:
    def partition(self, data: str) -> str:
        return data


class LineEncoder:
    def encode(self, data: str) -> bytes:
        return data.encode() + b"\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    return (
        wallaroo.ApplicationBuilder("class style")
        .new_pipeline("lines", wallaroo.TCPSourceConfig(in_host, in_port, LineDecoder()))
        .to(Split())
        .to_parallel(Lower())
        .to_state_partition(CountWords(), Count, "counts", WordPartition())
        .to_stateful(Repeat(), Count, "repeats")
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, LineEncoder()))
        .build()
    )
