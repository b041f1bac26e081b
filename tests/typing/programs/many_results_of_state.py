"""State computations with many results and with none, and a key that is found in the payload."""

import wallaroo


class Batch:
    def __init__(self) -> None:
        self.lines: list[str] = []


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.partition
def by_level(line: str) -> str:
    return line.split()[0]


@wallaroo.state_computation_multi("gather ten")
def gather(line: str, batch: Batch) -> tuple[list[str] | None, bool]:
    batch.lines.append(line)
    if len(batch.lines) < 10:
        return None, True
    lines, batch.lines = batch.lines, []
    return lines, True


@wallaroo.state_computation("remember")
def remember(line: str, batch: Batch) -> tuple[None, bool]:
    batch.lines.append(line)
    return None, True


@wallaroo.encoder
def encode(line: str) -> str:
    return line + "\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    (in_host, in_port), (again_host, again_port) = wallaroo.tcp_parse_input_addrs(args)[:2]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    level = wallaroo.payload_key(field=0, separator=b" ")
    return (
        wallaroo.ApplicationBuilder("levels")
        .new_pipeline("lines", wallaroo.TCPSourceConfig(in_host, in_port, decode))
        .to_state_partition(gather, Batch, "batches", by_level)
        .to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode))
        .new_pipeline("late lines", wallaroo.TCPSourceConfig(again_host, again_port, decode))
        .to_state_partition(remember, Batch, "batches", level)
        .done()
        .build()
    )
