"""Decoders, encoders and computations that take or return what they must not."""

import wallaroo


class Sized:
    def name(self) -> str:
        return "sized"

    def compute(self, record: str) -> int:
        return len(record)


class Numbers:
    def initial_value(self) -> int:
        return 0

    def apply(self, value: str) -> int:
        return len(value)


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode_text(payload: str) -> str:
    return payload


@wallaroo.encoder
def encode_list(line: str) -> list[bytes]:
    return [line.encode()]


@wallaroo.computation_multi("split")  # mistake
def split(line: str) -> tuple[str, ...]:
    return tuple(line.split())


@wallaroo.state_computation("count")
def count(line: str, counts: dict[str, int]) -> str:
    counts[line] = counts.get(line, 0) + 1
    return line


@wallaroo.state_computation("forget")
def forget(line: str, counts: dict[str, int]) -> tuple[str, str]:
    counts.clear()
    return line, "delete"


wallaroo.TCPSourceConfig("127.0.0.1", 7010, decode_text)  # mistake
wallaroo.TCPSourceConfig("127.0.0.1", 7010, encode_list)  # mistake
wallaroo.TCPSourceConfig("127.0.0.1", 7010, decode, framing="lines")  # mistake
wallaroo.FileSinkConfig("out.txt", encode_list)  # mistake
wallaroo.TCPSinkConfig("127.0.0.1", 7002, decode)  # mistake
wallaroo.GenSourceConfig(Numbers())  # mistake

SOURCE = wallaroo.TCPSourceConfig("127.0.0.1", 7010, decode)

lines = wallaroo.ApplicationBuilder("lines").new_pipeline("lines", SOURCE)

lines.to(Sized)  # mistake
lines.to(divmod)  # mistake
lines.to(Sized()).to(Sized())  # mistake
lines.to_stateful(count, dict, "counts")  # mistake
lines.to_stateful(forget, dict, "counts")  # mistake


def application_setup(_args: list[str]) -> wallaroo.Application:
    return lines.done()  # mistake
