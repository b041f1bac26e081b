"""A generator as source, and an upgrade of its state from an older application."""

from types import SimpleNamespace

import wallaroo


class Countdown:
    def initial_value(self) -> int:
        return 3

    def apply(self, value: int) -> int | None:
        return value - 1 if value > 1 else None


class Sum:
    def __init__(self) -> None:
        self.total = 0


@wallaroo.upgrade_state("sum of the countdown")
def upgrade_sum(old: SimpleNamespace) -> Sum:
    new = Sum()
    new.total = old.sum
    return new


@wallaroo.state_computation("add")
def add(number: int, state: Sum) -> tuple[int, bool]:
    state.total += number
    return state.total, True


@wallaroo.encoder
def encode(number: int) -> str:
    return f"{number}\n"


def application_setup(args: list[str]) -> wallaroo.Application:
    host, port = wallaroo.tcp_parse_output_addrs(args)[0]
    return (
        wallaroo.ApplicationBuilder("countdown")
        .new_pipeline("numbers", wallaroo.GenSourceConfig(Countdown()))
        .to_stateful(add, Sum, "sum of the countdown")
        .to_sink(wallaroo.TCPSinkConfig(host, port, encode))
        .build()
    )
