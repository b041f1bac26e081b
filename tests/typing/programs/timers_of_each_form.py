"""Timers and alarms of all forms of state computations; their functions get the same state."""

from typing import assert_type

import wallaroo


class Machine:
    last = ""


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> str:
    return payload.decode()


@wallaroo.encoder
def encode(line: str) -> str:
    return line + "\n"


@wallaroo.state_computation("own", Machine)
def own(reading: str, machine: Machine, ctx: wallaroo.Context[str]) -> str | None:
    machine.last = reading
    ctx.set_timer("silent", ctx.time + wallaroo.minutes(5))
    return None


@own.on_timer("silent")
def own_silent(machine: Machine, ctx: wallaroo.Context[str]) -> str:
    return f"{ctx.key.upper()}: {machine.last}"


@wallaroo.state_computation_multi("own lists", Machine)
def own_lists(reading: str, machine: Machine, ctx: wallaroo.Context) -> list[str]:
    ctx.set_alarm("poll", after=wallaroo.seconds(1))
    return [reading, machine.last]


@own_lists.on_alarm("poll")
def own_lists_poll(
    machine: Machine, ctx: wallaroo.Context
) -> tuple[list[str] | None, wallaroo.Delete]:
    return [f"{ctx.time}: {machine.last}"], wallaroo.DELETE


@wallaroo.state_computation("pairs")
def pairs(reading: str, machine: Machine, ctx: wallaroo.Context) -> tuple[str | None, bool]:
    ctx.set_timer("silent", ctx.time)
    return (reading, True) if machine.last else (None, False)


@pairs.on_timer("silent")
def pairs_silent(machine: Machine, _ctx: wallaroo.Context) -> tuple[str, wallaroo.Delete]:
    return machine.last, wallaroo.DELETE


@wallaroo.state_computation_multi("list pairs")
def list_pairs(reading: str, machine: Machine, ctx: wallaroo.Context) -> tuple[list[str], bool]:
    ctx.set_alarm("poll", after=wallaroo.seconds(1))
    return [reading, machine.last], False


@list_pairs.on_alarm("poll")
def list_pairs_poll(machine: Machine, _ctx: wallaroo.Context) -> tuple[list[str], bool]:
    return [machine.last], True


def test_of_a_timer(ctx: wallaroo.Context[str]) -> None:
    own_silent(Machine(), ctx)


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    readings = wallaroo.source("readings", wallaroo.TCPSourceConfig(in_host, in_port, decode))
    lines = readings.key_by(str).to(own).to(own_lists)
    assert_type(lines, wallaroo.Pipeline[str])
    lines = lines.to_stateful(pairs, Machine, "pairs").to_stateful(list_pairs, Machine, "lists")
    assert_type(lines, wallaroo.Pipeline[str])
    return wallaroo.build_application(
        "timers", lines.to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode))
    )
