"""State computations that delete the state of a key, or keep it."""

import wallaroo


class Visit:
    def __init__(self) -> None:
        self.lines: list[str] = []


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.partition
def by_user(line: str) -> str:
    return line.split()[0]


@wallaroo.state_computation("end visits")
def end_visits(line: str, visit: Visit) -> tuple[str | None, bool | wallaroo.Delete]:
    visit.lines.append(line)
    if line.endswith("logout"):
        return " ".join(visit.lines), wallaroo.DELETE
    return None, True


@wallaroo.state_computation_multi("tell and forget")
def tell_and_forget(line: str, visit: Visit) -> tuple[list[str], wallaroo.Delete]:
    return [*visit.lines, line], wallaroo.DELETE


@wallaroo.encoder
def encode(line: str) -> str:
    return line + "\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    (in_host, in_port), (again_host, again_port) = wallaroo.tcp_parse_input_addrs(args)[:2]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    sink = wallaroo.TCPSinkConfig(out_host, out_port, encode)
    return (
        wallaroo.ApplicationBuilder("visits")
        .new_pipeline("lines", wallaroo.TCPSourceConfig(in_host, in_port, decode))
        .to_state_partition(end_visits, Visit, "visits", by_user)
        .to_sink(sink)
        .new_pipeline("again", wallaroo.TCPSourceConfig(again_host, again_port, decode))
        .to_state_partition(tell_and_forget, Visit, "visits", by_user)
        .to_sink(sink)
        .build()
    )
