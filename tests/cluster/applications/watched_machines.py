"""Watches machines: a timer, an alarm, and a time to live; a payload is ``MACHINE SECOND``."""

import wallaroo
from shared_codecs import encode_text


class Machine:
    readings = 0


@wallaroo.decoder(header_length=4, length_fmt=">I")
def decode(payload: bytes) -> tuple[str, int]:
    machine, second = payload.decode().split()
    return machine, int(second)


@wallaroo.timestamp("s")
def second_of(reading: tuple[str, int]) -> int:
    return reading[1]


@wallaroo.state_computation("watch", Machine, ttl=wallaroo.hours(1))
def watch(reading: tuple[str, int], machine: Machine, ctx: wallaroo.Context) -> None:
    machine.readings += 1
    ctx.set_timer("silent", ctx.time + wallaroo.minutes(5))
    ctx.set_timer("forgotten", ctx.time + wallaroo.hours(2))
    ctx.set_alarm("poll", after=wallaroo.hours(1))


@watch.on_timer("silent")
def silent(machine: Machine, ctx: wallaroo.Context) -> str:
    return f"{ctx.key} silent after {machine.readings}"


@watch.on_timer("forgotten")
def forgotten(machine: Machine, ctx: wallaroo.Context) -> str:
    return f"{ctx.key} forgotten"


@watch.on_alarm("poll")
def poll(machine: Machine, ctx: wallaroo.Context) -> str:
    return f"{ctx.key} polled"


def machine_of(reading: tuple[str, int]) -> str:
    return reading[0]


def application_setup(args: list[str]) -> wallaroo.Application:
    (address,) = wallaroo.tcp_parse_input_addrs(args)
    (out,) = wallaroo.tcp_parse_output_addrs(args)
    source = wallaroo.TCPSourceConfig(*address, decode, time=wallaroo.event_time(second_of))
    return wallaroo.build_application(
        "machines",
        wallaroo.source("readings", source)
        .key_by(machine_of)
        .to(watch)
        .to_sink(wallaroo.TCPSinkConfig(*out, encode_text)),
    )
