"""State computations with a context, timers, alarms and a time to live, in both forms."""

import json
from typing import Any

import wallaroo

Reading = dict[str, Any]


class Machine:
    last: float = 0.0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> Reading:
    reading: Reading = json.loads(payload)
    return reading


@wallaroo.encoder
def encode(line: str) -> str:
    return line + "\n"


def machine_of(reading: Reading) -> str:
    return str(reading["machine"])


def forgotten(key: Any, machine: Machine) -> str:
    return f"{key} was last at {machine.last}"


@wallaroo.state_computation("watch", Machine, ttl=wallaroo.hours(24), on_expire=forgotten)
def watch(reading: Reading, machine: Machine, ctx: wallaroo.Context) -> str | None:
    machine.last = reading["value"]
    ctx.set_timer("silent", ctx.time + wallaroo.minutes(5))
    ctx.set_alarm("poll", after=wallaroo.seconds(1))
    return None


@watch.on_timer("silent")
def silent(machine: Machine, ctx: wallaroo.Context) -> str:
    ctx.cancel("poll")
    return f"{ctx.key} has been silent since {machine.last}"


@watch.on_alarm("poll")
def poll(machine: Machine, ctx: wallaroo.Context) -> tuple[str, wallaroo.Delete]:
    ctx.remove_state()
    return f"{ctx.key}: {ctx.watermark}", wallaroo.DELETE


@wallaroo.state_computation_multi("twice", ttl=wallaroo.hours(1), ttl_clock="wall")
def twice(line: str, machine: Machine, ctx: wallaroo.Context) -> tuple[list[str], bool]:
    return [line, f"{line} at {ctx.read_time}"], True


def application_setup(args: list[str]) -> wallaroo.Application:
    in_host, in_port = wallaroo.tcp_parse_input_addrs(args)[0]
    out_host, out_port = wallaroo.tcp_parse_output_addrs(args)[0]
    readings = wallaroo.source("readings", wallaroo.TCPSourceConfig(in_host, in_port, decode))
    lines = readings.key_by(machine_of).to(watch).to_stateful(twice, Machine, "twice")
    return wallaroo.build_application(
        "silence", lines.to_sink(wallaroo.TCPSinkConfig(out_host, out_port, encode))
    )
