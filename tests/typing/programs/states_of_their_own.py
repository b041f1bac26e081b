"""State computations that bring their state, behind key_by and collect."""

import wallaroo

Visit = tuple[str, str]


class Pages:
    def __init__(self) -> None:
        self.seen: list[str] = []


class Lines:
    def __init__(self) -> None:
        self.known: set[str] = set()


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> Visit:
    user, _, page = payload.decode().partition(" ")
    return user, page


@wallaroo.encoder
def encode(line: str) -> str:
    return line + "\n"


@wallaroo.key_extractor
def user_of(visit: Visit) -> str:
    return visit[0]


@wallaroo.state_computation("pages of a visit", Pages)
def pages(visit: Visit, state: Pages) -> str | tuple[str, wallaroo.Delete] | None:
    user, page = visit
    if page == "logout":
        return f"{user}: {len(state.seen)}", wallaroo.DELETE
    state.seen.append(page)
    return None


@wallaroo.state_computation_multi("first lines", state=Lines)
def first_lines(line: str, lines: Lines) -> list[str]:
    if line in lines.known:
        return []
    lines.known.add(line)
    return [line, "new"]


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    visits = wallaroo.source("visits", wallaroo.TCPSourceConfig(in_host, in_port, decode))
    lines = visits.key_by(user_of).to(pages).collect().to(first_lines)
    return wallaroo.build_application(
        "visits", lines.to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode))
    )
